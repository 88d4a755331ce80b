import { elfCore, elfNote, qemuCpuNote } from './elf.ts';
import { flattened, kdump } from './kdump.ts';
import { avml, lime } from './lime.ts';
import { PAGE, SAMPLE_MEMORY, type SampleRange, sampleRange } from './memory.ts';
import { libvirtSave, mappedRam, migrationStream } from './migration.ts';
import { vmem, vmwareState } from './vmware.ts';

/** A small image of each format, and the memory that it holds. */
export interface SampleImage {
  readonly name: string;
  readonly format: string;
  readonly memory: readonly SampleRange[];
  readonly content: Buffer;
  /** A file that lies beside the image: extension and content. */
  readonly beside?: readonly [string, Buffer];
}

/** Low memory alone: kdump's bitmaps and a migration's RAM would be large with memory beyond 4 GiB. */
const LOW = SAMPLE_MEMORY.slice(0, 2);
/** RAM of a guest that has one contiguous block. */
const RAM = [sampleRange(0, 280)];
const BLOCKS = [
  { name: 'pc.ram', bytes: RAM[0]?.bytes ?? Buffer.alloc(0) },
  { name: 'pc.bios', bytes: Buffer.alloc(2 * PAGE, 0xbb) },
  { name: '0000:00:01.0/vga.vram', bytes: Buffer.alloc(PAGE) },
];

/** What VMCOREINFO of the samples says. */
export const VMCOREINFO = 'OSRELEASE=6.1.0\nPAGESIZE=4096\n';

/** Notes of two vCPUs and VMCOREINFO. */
export const NOTES = Buffer.concat([
  elfNote('CORE', 1, Buffer.alloc(336)),
  qemuCpuNote(0x1000n),
  qemuCpuNote(0x2000n),
  elfNote('VMCOREINFO', 0, Buffer.from(VMCOREINFO)),
]);

const ELF = elfCore([
  { type: 4, physical: 0, bytes: NOTES },
  ...SAMPLE_MEMORY.map(({ start, bytes }) => ({ type: 1 as const, physical: start, bytes })),
]);
const KDUMP = kdump(LOW, { notes: NOTES, vmcoreinfo: VMCOREINFO });
const STREAM = migrationStream('pc-q35-7.2', BLOCKS);

/** One image a format. */
export const SAMPLE_IMAGES: readonly SampleImage[] = [
  { name: 'raw', format: 'raw', memory: RAM, content: vmem(RAM) },
  { name: 'elf', format: 'ELF core', memory: SAMPLE_MEMORY, content: ELF },
  { name: 'kdump-zlib', format: 'kdump-compressed', memory: LOW, content: KDUMP },
  ...(['none', 'zstd', 'lzo', 'snappy'] as const).map((compression) => ({
    name: `kdump-${compression}`,
    format: 'kdump-compressed',
    memory: LOW,
    content: kdump(LOW, { compression }),
  })),
  {
    name: 'kdump without pages of zeros',
    format: 'kdump-compressed',
    memory: LOW,
    content: kdump(LOW, { dumpLevel: 1, excluded: (page) => page.every((byte) => byte === 0) }),
  },
  {
    name: 'flattened',
    format: 'kdump-compressed (flattened)',
    memory: LOW,
    content: flattened(KDUMP, 3000, (pieces) => [...pieces.filter((at) => at > 9000), ...pieces, 0]),
  },
  {
    name: 'flattened ELF',
    format: 'ELF core (flattened)',
    memory: SAMPLE_MEMORY,
    content: flattened(ELF, 70_000),
  },
  { name: 'lime', format: 'LiME', memory: SAMPLE_MEMORY, content: lime(SAMPLE_MEMORY) },
  { name: 'avml', format: 'AVML', memory: SAMPLE_MEMORY, content: avml(SAMPLE_MEMORY) },
  { name: 'avml with odd frames', format: 'AVML', memory: SAMPLE_MEMORY, content: avml(SAMPLE_MEMORY, 5000) },
  { name: 'migration', format: 'QEMU migration stream', memory: RAM, content: STREAM },
  {
    name: 'mapped-ram',
    format: 'QEMU migration (mapped-ram)',
    memory: RAM,
    content: mappedRam('pc-i440fx-9.0', BLOCKS),
  },
  {
    name: 'libvirt',
    format: 'libvirt save (QEMU migration stream)',
    memory: RAM,
    content: libvirtSave(STREAM),
  },
  {
    name: 'guest.vmem',
    format: 'VMware memory',
    memory: [sampleRange(0, 200), sampleRange(0x1_0000_0000, 80)],
    content: vmem([sampleRange(0, 200), sampleRange(0x1_0000_0000, 80)]),
    beside: ['.vmsn', vmwareState([sampleRange(0, 200), sampleRange(0x1_0000_0000, 80)])],
  },
  {
    name: 'whole.vmss',
    format: 'VMware state with memory',
    memory: SAMPLE_MEMORY,
    content: vmwareState(SAMPLE_MEMORY, true),
  },
  {
    name: 'state.vmss',
    format: 'VMware memory',
    memory: SAMPLE_MEMORY,
    content: vmwareState(SAMPLE_MEMORY),
    beside: ['.vmem', vmem(SAMPLE_MEMORY)],
  },
];

import { type ByteSource, type FileExtent, text, u64, viewAt } from '../file/bytes.ts';
import { ImageError } from '../image.ts';
import { PAGE_SIZE } from '../store/page-source.ts';

/** First bytes of a kdump-compressed dump (KDUMP_SIGNATURE, makedumpfile's diskdump_mod.h). */
export const KDUMP_SIGNATURE = 'KDUMP   ';

/** Two bitmaps of a machine whose memory ends at 2 TiB. */
const MAXIMUM_BITMAP_BYTES = 2 ** 27;

/** Set in `status` where makedumpfile ran out of space (DUMP_DH_COMPRESSED_INCOMPLETE). */
const STATUS_INCOMPLETE = 8;

/** What `utsname.machine` may be: QEMU writes `Unknown` where the guest told it nothing. */
const MACHINES: ReadonlySet<string> = new Set(['x86_64', 'Unknown', '']);

/** What `struct disk_dump_header` and `struct kdump_sub_header` (both of x86-64) say. */
export interface KdumpHeader {
  /** Bits of a dump level say which pages were left out; 1 alone means pages of zeros. */
  readonly dumpLevel: number;
  readonly incomplete: boolean;
  /** Number of page frames that the bitmaps speak of. */
  readonly frames: number;
  readonly bitmapOffset: number;
  readonly bitmapBytes: number;
  /** Where the page descriptors start. */
  readonly descriptorOffset: number;
  /** Where VMCOREINFO and ELF notes are; of size 0 where there are none. */
  readonly vmcoreinfo: FileExtent;
  readonly notes: FileExtent;
}

/** Reads both headers; throws an ImageError for what is not a dump of an x86-64 machine, or is only part of one. */
export function readKdumpHeader(file: ByteSource): KdumpHeader {
  const header = viewAt(file, 0, 464);
  const sub = viewAt(file, PAGE_SIZE, 104);
  if (header === undefined || sub === undefined) throw new ImageError('the kdump header is cut short');
  checkMachine(header);
  const version = header.getInt32(8, true);
  if (version >= 2 && sub.getInt32(12, true) !== 0) {
    throw new ImageError(
      'the dump is one part of a split dump; join the parts with makedumpfile --reassemble',
    );
  }
  const subBlocks = header.getUint32(432, true);
  const bitmapBytes = header.getUint32(436, true) * PAGE_SIZE;
  const frames = (version >= 6 ? u64(sub, 96) : 0) || header.getUint32(440, true);
  if (subBlocks === 0 || subBlocks > 0xffff || bitmapBytes === 0 || bitmapBytes > MAXIMUM_BITMAP_BYTES) {
    throw new ImageError('the sizes in the kdump header cannot be those of a dump');
  }
  const bitmapOffset = PAGE_SIZE * (1 + subBlocks);
  return {
    dumpLevel: version >= 1 ? sub.getInt32(8, true) : 0,
    incomplete: (header.getUint32(424, true) & STATUS_INCOMPLETE) !== 0,
    frames: Math.min(frames, 8 * bitmapBytes),
    bitmapOffset,
    bitmapBytes,
    descriptorOffset: bitmapOffset + bitmapBytes,
    vmcoreinfo: version >= 3 ? { offset: u64(sub, 32), size: u64(sub, 40) } : { offset: 0, size: 0 },
    notes: version >= 4 ? { offset: u64(sub, 48), size: u64(sub, 56) } : { offset: 0, size: 0 },
  };
}

function checkMachine(header: DataView): void {
  const machine = text(new Uint8Array(header.buffer, header.byteOffset + 12 + 4 * 65, 65));
  if (!MACHINES.has(machine)) {
    throw new ImageError(
      `the dump is of a machine of type ${JSON.stringify(machine)}, and only x86_64 is supported`,
    );
  }
  const blockSize = header.getUint32(428, true);
  if (blockSize !== PAGE_SIZE) {
    throw new ImageError(`the dump has blocks of ${blockSize} bytes, and those of x86-64 have ${PAGE_SIZE}`);
  }
}

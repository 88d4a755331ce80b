import { gva } from '../../../memory/address.ts';
import { type RegisterName, Registers } from '../../../x86/registers.ts';
import type { VcpuState } from '../../machine.ts';
import { text } from '../file/bytes.ts';

/** What the notes of a dump say. */
export interface DumpNotes {
  readonly vmcoreinfo?: string;
  readonly vcpus: readonly VcpuState[];
}

/** More notes than any dump has; each vCPU has two or three. */
const MAXIMUM_NOTES = 16_384;

/**
 * Reads ELF notes (gABI "Note Section"; `Elf64_Nhdr`: name size, content size, type, then both padded to 4 bytes).
 * Notes that do not fit their section end the reading; unknown ones are passed over.
 */
export function readNotes(section: Uint8Array): DumpNotes {
  const view = new DataView(section.buffer, section.byteOffset, section.length);
  const vcpus: VcpuState[] = [];
  let vmcoreinfo: string | undefined;
  let position = 0;
  for (let count = 0; count < MAXIMUM_NOTES && position + 12 <= section.length; count++) {
    const content = position + 12 + padded(view.getUint32(position, true));
    const end = content + view.getUint32(position + 4, true);
    if (end > section.length) break;
    const name = text(section.subarray(position + 12, content));
    const bytes = section.subarray(content, end);
    if (name === 'VMCOREINFO') vmcoreinfo = text(bytes);
    if (name === 'QEMU') vcpus.push(...qemuVcpu(bytes));
    position = padded(end);
  }
  return { vcpus, ...(vmcoreinfo === undefined ? {} : { vmcoreinfo }) };
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

/** `QEMUCPUState` version 1 begins with these, 8 bytes each, from offset 8 on (QEMU target/i386/arch_dump.c). */
const GENERAL: readonly RegisterName[] = [
  ...(['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp'] as const),
  ...(['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'eflags'] as const),
];

/** Then segments of 24 bytes: selector, limit, flags, padding (32 bits each), base (64 bits). */
const SEGMENTS: readonly RegisterName[] = ['cs', 'ds', 'es', 'fs', 'gs', 'ss'];
const SEGMENTS_OFFSET = 8 + 8 * GENERAL.length;
const SEGMENT_SIZE = 24;
const SEGMENT_BASE = 16;
const FS = 3;
const GS = 4;
/** After those: ldt, tr, gdt, idt. */
const IDT = 9;
/** Then cr0 to cr4, and, where the stated size has room for it, the kernel's GS base. */
const CONTROL_OFFSET = SEGMENTS_OFFSET + 10 * SEGMENT_SIZE;
const KERNEL_GS_OFFSET = CONTROL_OFFSET + 40;

/**
 * What EFER must be where QEMU writes this note for x86-64: it takes the machine for 32-bit unless EFER.LMA is set
 * (`cpu_get_dump_info`, target/i386/arch_dump.c), and Linux sets SCE, LME and NXE together with it.
 */
const LONG_MODE_EFER = 0xd01n;

/** The registers of one vCPU, or none where the note is another version. The note has no EFER and no CR8. */
function qemuVcpu(bytes: Uint8Array): readonly VcpuState[] {
  if (bytes.length < KERNEL_GS_OFFSET) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== 1) return [];
  const registers = new Registers();
  const value = (offset: number): bigint => view.getBigUint64(offset, true);
  const base = (segment: number): bigint => value(SEGMENTS_OFFSET + segment * SEGMENT_SIZE + SEGMENT_BASE);
  GENERAL.forEach((name, index) => {
    registers.set(name, value(8 + 8 * index));
  });
  SEGMENTS.forEach((name, index) => {
    registers.set(name, BigInt(view.getUint32(SEGMENTS_OFFSET + index * SEGMENT_SIZE, true)));
  });
  registers.set('fs_base', base(FS));
  registers.set('gs_base', base(GS));
  registers.set('cr0', value(CONTROL_OFFSET));
  registers.set('cr2', value(CONTROL_OFFSET + 16));
  registers.set('cr3', value(CONTROL_OFFSET + 24));
  registers.set('cr4', value(CONTROL_OFFSET + 32));
  registers.set('efer', LONG_MODE_EFER);
  if (bytes.length >= KERNEL_GS_OFFSET + 8) registers.set('k_gs_base', value(KERNEL_GS_OFFSET));
  return [{ registers, idtBase: gva(base(IDT)) }];
}

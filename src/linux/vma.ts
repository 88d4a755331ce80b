import { type GuestVirtualAddress, gvaOfWords } from '../memory/address.ts';
import type { Kernel } from './kernel.ts';
import type { VmaCursor } from './mm/vma-cursor.ts';

/** Bits of `vm_flags` that never moved (include/linux/mm.h). */
export const VmFlag = {
  read: 0x1,
  write: 0x2,
  exec: 0x4,
  shared: 0x8,
  mayRead: 0x10,
  mayWrite: 0x20,
  mayExec: 0x40,
  mayShare: 0x80,
  growsDown: 0x100,
  dontExpand: 0x4_0000,
} as const;

/** One `vm_area_struct` as it was when it was read (the reference page's `IntLixVmaFill`). */
export interface Vma {
  /** Of the `vm_area_struct`. */
  readonly address: GuestVirtualAddress;
  readonly start: GuestVirtualAddress;
  /** The first address after the area. */
  readonly end: GuestVirtualAddress;
  /** `vm_flags`, 64 bits. */
  readonly flags: bigint;
  /** `vm_page_prot`: the protection bits of page-table entries that the kernel will make. */
  readonly pageProtection: bigint;
  /** Offset into the file, in pages. */
  readonly pageOffset: bigint;
  /** `struct file`; null for anonymous memory. */
  readonly file: GuestVirtualAddress;
  /** Not null once the area has, or may have, pages of its own. */
  readonly anonVma: GuestVirtualAddress;
  readonly operations: GuestVirtualAddress;
  /** The address space: `mm_struct`. */
  readonly mm: GuestVirtualAddress;
}

/** Decodes the VMA that a cursor stands on. Throws a PhysicalMemoryError when it has gone. */
export function snapshotVma(kernel: Pick<Kernel, 'memory' | 'layout'>, cursor: VmaCursor): Vma {
  const { vm_area_struct: layout } = kernel.layout;
  const pointer = (offset: number) => pointerAt(kernel, cursor.physical + offset);
  return {
    address: gvaOfWords(cursor.high, cursor.low),
    start: gvaOfWords(cursor.startHigh, cursor.startLow),
    end: gvaOfWords(cursor.endHigh, cursor.endLow),
    flags: gvaOfWords(cursor.flagsHigh, cursor.flagsLow),
    pageProtection: gvaOfWords(cursor.protectionHigh, cursor.protectionLow),
    pageOffset: gvaOfWords(cursor.offsetHigh, cursor.offsetLow),
    file: gvaOfWords(cursor.fileHigh, cursor.fileLow),
    anonVma: pointer(layout.anon_vma),
    operations: pointer(layout.vm_ops),
    mm: pointer(layout.vm_mm),
  };
}

/** The number of 4 KiB pages in an area (`IntLixVmaGetPageCount`). */
export function vmaPageCount(vma: Pick<Vma, 'start' | 'end'>): number {
  return Number((vma.end - vma.start) / 4096n);
}

function pointerAt(kernel: Pick<Kernel, 'memory'>, physical: number): GuestVirtualAddress {
  const memory = kernel.memory.physical;
  return gvaOfWords(memory.u32(physical + 4), memory.u32(physical));
}

import { PAGE_SIZE, type PagingLevels } from './page-tables.ts';
import type { Registers } from './registers.ts';

const CR4_LA57 = 1 << 12;
const EFER_LMA = 1 << 10;
const EFER_NXE = 1 << 11;
const FRAME_HIGH = 0x000f_ffff;
const FRAME_LOW = 0xffff_f000;

/**
 * Guest-physical address of the root table that CR3 names: without the PCID (bits 0 to 11) and what the
 * upper bits say (63: do not flush; 61 and 62: linear-address masking). Intel SDM vol. 3A 4.5.2.
 */
export function rootOfCr3(registers: Registers): number {
  return (registers.high('cr3') & FRAME_HIGH) * 2 ** 32 + ((registers.low('cr3') & FRAME_LOW) >>> 0);
}

/**
 * The kernel's root table where `root` is the one that user mode runs on under KPTI: the two are halves of
 * one 8 KiB block, the kernel's first (`PTI_USER_PGTABLE_BIT`, `arch/x86/include/asm/pgtable.h`). The same
 * where `root` is the kernel's already. Without KPTI the answer means nothing.
 */
export function kernelRootUnderKpti(root: number): number {
  return root - (root % (2 * PAGE_SIZE));
}

/** How many levels the page tables have (CR4.LA57, Intel SDM vol. 3A 4.1.1). */
export function pagingLevels(registers: Registers): PagingLevels {
  return (registers.low('cr4') & CR4_LA57) === 0 ? 4 : 5;
}

/** Whether bit 63 of page-table entries forbids execution (EFER.NXE, Intel SDM vol. 3A 4.1.1). */
export function noExecuteEnabled(registers: Registers): boolean {
  return (registers.low('efer') & EFER_NXE) !== 0;
}

/** Whether the vCPU runs in long mode: 64-bit paging is on (EFER.LMA, Intel SDM vol. 3A 2.2.1). */
export function isLongMode(registers: Registers): boolean {
  return (registers.low('efer') & EFER_LMA) !== 0;
}

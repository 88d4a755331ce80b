import { gvaOfWords } from '../../memory/address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { frameAddress, type PagingLevels, tableIndex } from '../../x86/page-tables.ts';
import { PTE_ACCESSED, PTE_HIGH_NO_EXECUTE, PTE_LARGE, PTE_PRESENT, PTE_WRITABLE } from '../../x86/pte.ts';
import type { LinearMapping } from '../kernel-memory.ts';

const TWO_MIB = 0x20_0000;
const ENTRIES = 512;
const SAMPLE_STRIDE = 64 * 1024;
/** The kernel image is mapped into the first GiB of the last two (`__START_KERNEL_map`, `page_64_types.h`). */
const IMAGE_HIGH = 0xffff_ffff;
const IMAGE_LOW = 0x8000_0000;
/** Linux makes the entries above its image with at least these bits (`_KERNPG_TABLE`). */
const TABLE_BITS = PTE_PRESENT | PTE_WRITABLE | PTE_ACCESSED;

/** The mapping of a kernel image. */
export interface ImageMapping extends LinearMapping {
  /**
   * Guest-physical address from which on the image is mapped neither writable nor executable: where a kernel that has
   * booted keeps its tables (`mark_rodata_ro()`). Absent where nothing is mapped so.
   */
  readonly readOnlyData?: number;
}

/** Where the page directory of the kernel image is, below a root table; -1 when there is none. */
export function imageDirectory(memory: PhysicalMemory, root: number, levels: PagingLevels): number {
  let table = root;
  for (let level: number = levels; level > 2; level--) {
    if (!memory.contains(table, ENTRIES * 8)) return -1;
    const entry = table + tableIndex(level, IMAGE_HIGH, IMAGE_LOW) * 8;
    const low = memory.u32(entry);
    if ((low & (TABLE_BITS | PTE_LARGE)) !== TABLE_BITS) return -1;
    table = frameAddress(memory.u32(entry + 4), low);
  }
  return memory.contains(table, ENTRIES * 8) ? table : -1;
}

/**
 * The kernel image that a page directory maps: from the first present entry (Linux takes away those below
 * `_text`: `cleanup_highmap`, `arch/x86/mm/init_64.c`) as far as physical addresses ascend with virtual ones.
 */
export function imageMapping(memory: PhysicalMemory, directory: number): ImageMapping | undefined {
  let first = 0;
  while (first < ENTRIES && !isPresent(memory, directory + first * 8)) first++;
  if (first === ENTRIES) return undefined;
  const physicalStart = physicalOf(memory, directory + first * 8);
  if (physicalStart < 0 || physicalStart % TWO_MIB !== 0) return undefined;
  let end = first + 1;
  while (
    end < ENTRIES &&
    physicalOf(memory, directory + end * 8) === physicalStart + (end - first) * TWO_MIB
  ) {
    end++;
  }
  const size = (end - first) * TWO_MIB;
  if (!isMostlyThere(memory, physicalStart, size)) return undefined;
  let readOnly = first;
  while (readOnly < end && !isReadOnlyData(memory, directory + readOnly * 8)) readOnly++;
  const mapping = { virtualStart: gvaOfWords(IMAGE_HIGH, IMAGE_LOW + first * TWO_MIB), physicalStart, size };
  return readOnly === end
    ? mapping
    : { ...mapping, readOnlyData: physicalStart + (readOnly - first) * TWO_MIB };
}

/** Dumps leave out what the kernel freed of its image after booting; what is made up is mostly not there. */
function isMostlyThere(memory: PhysicalMemory, start: number, size: number): boolean {
  if (memory.contains(start, size)) return true;
  let present = 0;
  for (let at = 0; at < size; at += SAMPLE_STRIDE)
    if (memory.contains(start + at, 1)) present += SAMPLE_STRIDE;
  return present >= size / 2;
}

/** Whether the 2 MiB behind a directory's entry begin with a page that is neither writable nor executable. */
function isReadOnlyData(memory: PhysicalMemory, entry: number): boolean {
  const low = memory.u32(entry);
  const high = memory.u32(entry + 4);
  if ((low & PTE_LARGE) === 0) {
    const page = frameAddress(high, low);
    if (!memory.contains(page, 8)) return false;
    return isConstant(memory.u32(page + 4), memory.u32(page));
  }
  return isConstant(high, low);
}

function isConstant(high: number, low: number): boolean {
  return (low & (PTE_PRESENT | PTE_WRITABLE)) === PTE_PRESENT && (high & PTE_HIGH_NO_EXECUTE) !== 0;
}

function isPresent(memory: PhysicalMemory, entry: number): boolean {
  return (memory.u32(entry) & PTE_PRESENT) !== 0;
}

/** What the 2 MiB behind a directory's entry begin with, also where they are mapped by single pages; or -1. */
function physicalOf(memory: PhysicalMemory, entry: number): number {
  const low = memory.u32(entry);
  if ((low & PTE_PRESENT) === 0) return -1;
  const address = frameAddress(memory.u32(entry + 4), low);
  if ((low & PTE_LARGE) !== 0) return address - (address % TWO_MIB);
  return memory.contains(address, ENTRIES * 8) ? startOfPages(memory, address) : -1;
}

function startOfPages(memory: PhysicalMemory, table: number): number {
  for (let index = 0; index < ENTRIES; index++) {
    const low = memory.u32(table + index * 8);
    if ((low & PTE_PRESENT) !== 0) {
      return frameAddress(memory.u32(table + index * 8 + 4), low) - index * 4096;
    }
  }
  return -1;
}

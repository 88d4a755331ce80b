import type { Kernel } from '../kernel.ts';
import { VmaTreeError } from './vma-tree.ts';

/** Pages of 4 KiB in 4 GiB: what one step of an address's upper word counts in pages. */
export const PAGES_PER_HIGH_WORD = 0x10_0000;

/** The number of the 4 KiB page that an address (its two 32-bit words) lies in: exact, as it is below 2^52. */
export function pageNumber(high: number, low: number): number {
  return high * PAGES_PER_HIGH_WORD + (low >>> 12);
}

/**
 * One `vm_area_struct`, as pairs of unsigned 32-bit words; made once and filled again at every step of a walk,
 * so that a walk allocates nothing. Copy what you keep: {@link snapshotVma}.
 */
export class VmaCursor {
  /** Guest-virtual address of the `vm_area_struct`; 0 when the cursor stands nowhere. */
  high = 0;
  low = 0;
  /** Guest-physical address of the `vm_area_struct`. */
  physical = 0;
  startHigh = 0;
  startLow = 0;
  /** The first address after the area. */
  endHigh = 0;
  endLow = 0;
  flagsHigh = 0;
  flagsLow = 0;
  /** In pages. */
  offsetHigh = 0;
  offsetLow = 0;
  /** `struct file`, null for an anonymous area. */
  fileHigh = 0;
  fileLow = 0;
  /** `vm_page_prot`: the protection bits of a page-table entry. */
  protectionHigh = 0;
  protectionLow = 0;

  get startPage(): number {
    return pageNumber(this.startHigh, this.startLow);
  }

  get endPage(): number {
    return pageNumber(this.endHigh, this.endLow);
  }

  /** Whether the area holds a page. */
  contains(page: number): boolean {
    return this.startPage <= page && page < this.endPage;
  }

  /** Whether two cursors describe the same area in the same state. */
  equals(other: VmaCursor): boolean {
    return (
      this.startLow === other.startLow &&
      this.startHigh === other.startHigh &&
      this.endLow === other.endLow &&
      this.endHigh === other.endHigh &&
      this.flagsLow === other.flagsLow &&
      this.flagsHigh === other.flagsHigh &&
      this.offsetLow === other.offsetLow &&
      this.offsetHigh === other.offsetHigh &&
      this.fileLow === other.fileLow &&
      this.fileHigh === other.fileHigh
    );
  }
}

/** Reads `vm_area_struct`s that belong to one address space. */
export class VmaReader {
  readonly #kernel: Pick<Kernel, 'memory' | 'layout'>;
  readonly #mmHigh: number;
  readonly #mmLow: number;

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, mmHigh: number, mmLow: number) {
    this.#kernel = kernel;
    this.#mmHigh = mmHigh;
    this.#mmLow = mmLow;
  }

  /**
   * Fills the cursor from the structure at a guest-virtual address. Throws a VmaTreeError when it cannot be
   * read, belongs to another address space (it was freed and used again) or has limits that cannot be.
   */
  load(cursor: VmaCursor, high: number, low: number): void {
    this.loadLimits(cursor, high, low);
    this.loadRest(cursor);
  }

  /** As {@link load}, for the place and the limits of the area only: enough to go down a tree. */
  loadLimits(cursor: VmaCursor, high: number, low: number): void {
    const { memory, layout } = this.#kernel;
    const { physical } = memory;
    const vma = layout.vm_area_struct;
    const at = low % 8 === 0 ? memory.tryLocate(high, low) : -1;
    if (at < 0 || !physical.contains(at, vma.size))
      throw new VmaTreeError('unreadable', 'vm_area_struct', high, low);
    cursor.high = high;
    cursor.low = low;
    cursor.physical = at;
    cursor.startLow = physical.u32(at + vma.vm_start);
    cursor.startHigh = physical.u32(at + vma.vm_start + 4);
    cursor.endLow = physical.u32(at + vma.vm_end);
    cursor.endHigh = physical.u32(at + vma.vm_end + 4);
    const plausible =
      physical.u32(at + vma.vm_mm) === this.#mmLow &&
      physical.u32(at + vma.vm_mm + 4) === this.#mmHigh &&
      cursor.startPage < cursor.endPage &&
      ((cursor.startLow | cursor.endLow) & 0xfff) === 0 &&
      cursor.endHigh >>> 31 === 0;
    if (!plausible) throw new VmaTreeError('torn', 'vm_area_struct', high, low);
  }

  /** Fills in what {@link loadLimits} left out of the area that the cursor stands on. */
  loadRest(cursor: VmaCursor): void {
    const { physical } = this.#kernel.memory;
    const vma = this.#kernel.layout.vm_area_struct;
    const at = cursor.physical;
    cursor.flagsLow = physical.u32(at + vma.vm_flags);
    cursor.flagsHigh = physical.u32(at + vma.vm_flags + 4);
    cursor.offsetLow = physical.u32(at + vma.vm_pgoff);
    cursor.offsetHigh = physical.u32(at + vma.vm_pgoff + 4);
    cursor.fileLow = physical.u32(at + vma.vm_file);
    cursor.fileHigh = physical.u32(at + vma.vm_file + 4);
    cursor.protectionLow = physical.u32(at + vma.vm_page_prot);
    cursor.protectionHigh = physical.u32(at + vma.vm_page_prot + 4);
  }
}

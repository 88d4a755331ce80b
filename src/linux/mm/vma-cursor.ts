import { ObjectWindow } from '../../memory/object-window.ts';
import { PhysicalMemoryError } from '../../memory/physical-memory.ts';
import type { Kernel } from '../kernel.ts';
import type { KernelMemory } from '../kernel-memory.ts';
import type { KernelLayout } from '../layout.ts';
import { VmaTreeError } from './vma-tree-error.ts';

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

/** Where in a `vm_area_struct` is what every step of a walk reads: the layout's own table is too slow for that. */
interface VmaOffsets {
  readonly start: number;
  readonly end: number;
  readonly mm: number;
  readonly flags: number;
  readonly pgoff: number;
  readonly file: number;
  readonly protection: number;
}

const OFFSETS = new WeakMap<KernelLayout, VmaOffsets>();

function offsetsOf(layout: KernelLayout): VmaOffsets {
  const known = OFFSETS.get(layout);
  if (known !== undefined) return known;
  const { vm_start, vm_end, vm_mm, vm_flags, vm_pgoff, vm_file, vm_page_prot } = layout.vm_area_struct;
  const offsets = {
    start: vm_start,
    end: vm_end,
    mm: vm_mm,
    flags: vm_flags,
    pgoff: vm_pgoff,
    file: vm_file,
    protection: vm_page_prot,
  };
  OFFSETS.set(layout, offsets);
  return offsets;
}

/** Reads `vm_area_struct`s that belong to one address space. */
export class VmaReader {
  readonly #memory: KernelMemory;
  readonly #offsets: VmaOffsets;
  readonly #window: ObjectWindow;
  readonly #mmHigh: number;
  readonly #mmLow: number;

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, mmHigh: number, mmLow: number) {
    this.#memory = kernel.memory;
    this.#offsets = offsetsOf(kernel.layout);
    this.#window = new ObjectWindow(kernel.memory.physical, kernel.layout.vm_area_struct.size);
    this.#mmHigh = mmHigh;
    this.#mmLow = mmLow;
  }

  /**
   * Fills the cursor from the structure at a guest-virtual address. Throws a VmaTreeError when it cannot be
   * read, belongs to another address space (it was freed and used again) or has limits that cannot be.
   */
  load(cursor: VmaCursor, high: number, low: number): void {
    this.loadLimits(cursor, high, low);
    this.#takeRest(cursor);
  }

  /** As {@link load}, for the place and the limits of the area only: enough to go down a tree. */
  loadLimits(cursor: VmaCursor, high: number, low: number): void {
    const vma = this.#offsets;
    const window = this.#window;
    const at = low % 8 === 0 ? this.#memory.tryLocate(high, low) : -1;
    if (at < 0 || !this.#open(at)) throw new VmaTreeError('unreadable', 'vm_area_struct', high, low);
    cursor.high = high;
    cursor.low = low;
    cursor.physical = at;
    cursor.startLow = window.u32(vma.start);
    cursor.startHigh = window.u32(vma.start + 4);
    cursor.endLow = window.u32(vma.end);
    cursor.endHigh = window.u32(vma.end + 4);
    const plausible =
      window.u32(vma.mm) === this.#mmLow &&
      window.u32(vma.mm + 4) === this.#mmHigh &&
      (cursor.startHigh < cursor.endHigh ||
        (cursor.startHigh === cursor.endHigh && cursor.startLow < cursor.endLow)) &&
      ((cursor.startLow | cursor.endLow) & 0xfff) === 0 &&
      cursor.endHigh >>> 31 === 0;
    if (!plausible) throw new VmaTreeError('torn', 'vm_area_struct', high, low);
  }

  /** Fills in what {@link loadLimits} left out of the area that the cursor stands on. */
  loadRest(cursor: VmaCursor): void {
    this.#window.open(cursor.physical);
    this.#takeRest(cursor);
  }

  #open(at: number): boolean {
    try {
      this.#window.open(at);
      return true;
    } catch (error) {
      if (error instanceof PhysicalMemoryError) return false;
      throw error;
    }
  }

  #takeRest(cursor: VmaCursor): void {
    const vma = this.#offsets;
    const window = this.#window;
    cursor.flagsLow = window.u32(vma.flags);
    cursor.flagsHigh = window.u32(vma.flags + 4);
    cursor.offsetLow = window.u32(vma.pgoff);
    cursor.offsetHigh = window.u32(vma.pgoff + 4);
    cursor.fileLow = window.u32(vma.file);
    cursor.fileHigh = window.u32(vma.file + 4);
    cursor.protectionLow = window.u32(vma.protection);
    cursor.protectionHigh = window.u32(vma.protection + 4);
  }
}

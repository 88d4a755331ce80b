import type { Kernel } from '../kernel.ts';
import { type VmaCursor, VmaReader } from './vma-cursor.ts';
import { type Direction, MAX_VMAS, type VmaTree } from './vma-tree.ts';
import { VmaTreeError } from './vma-tree-error.ts';

/** Offsets that the list of VMAs needs; kernels up to 6.0 have them. */
interface ListLayout {
  readonly mmap: number;
  readonly vm_next: number;
  readonly vm_prev: number;
}

/**
 * The doubly linked list of VMAs, sorted by address: `mm->mmap`, `vm_next`, `vm_prev` (up to 6.0). Works in
 * both directions from any VMA (the reference page's `IntLixMmFindVmaInLinkedList`, whose backward walk begins
 * at the head and ends there).
 */
export class VmaList implements VmaTree {
  readonly kind = 'list';
  readonly #kernel: Pick<Kernel, 'memory' | 'layout'>;
  readonly #layout: ListLayout;
  readonly #reader: VmaReader;
  readonly #mmHigh: number;
  readonly #mmLow: number;

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, layout: ListLayout, mmHigh: number, mmLow: number) {
    this.#kernel = kernel;
    this.#layout = layout;
    this.#reader = new VmaReader(kernel, mmHigh, mmLow);
    this.#mmHigh = mmHigh;
    this.#mmLow = mmLow;
  }

  /** Goes along the list from its head: linear in the number of VMAs below the page. */
  seek(page: number, direction: Direction, cursor: VmaCursor): boolean {
    const { memory } = this.#kernel;
    const head = memory.locate(this.#mmHigh, this.#mmLow) + this.#layout.mmap;
    let low = memory.physical.u32(head);
    let high = memory.physical.u32(head + 4);
    let lastHigh = 0;
    let lastLow = 0;
    for (let count = 0; (high | low) !== 0; count++) {
      if (count === MAX_VMAS) throw new VmaTreeError('limit', 'vm_area_struct', high, low);
      const end = count === 0 ? 0 : cursor.endPage;
      this.#reader.loadLimits(cursor, high, low);
      if (cursor.startPage < end) throw new VmaTreeError('cycle', 'vm_area_struct', high, low);
      if (direction === 'forward' ? cursor.endPage > page : cursor.startPage > page) break;
      lastHigh = high;
      lastLow = low;
      low = memory.physical.u32(cursor.physical + this.#layout.vm_next);
      high = memory.physical.u32(cursor.physical + this.#layout.vm_next + 4);
    }
    if (direction === 'forward') {
      if ((high | low) !== 0) this.#reader.loadRest(cursor);
      return (high | low) !== 0;
    }
    if ((lastHigh | lastLow) === 0) return false;
    this.#reader.load(cursor, lastHigh, lastLow);
    return true;
  }

  /** Follows `vm_next` or `vm_prev`; throws when the neighbour does not lie on that side. */
  step(direction: Direction, cursor: VmaCursor): boolean {
    const { physical } = this.#kernel.memory;
    const link = cursor.physical + (direction === 'forward' ? this.#layout.vm_next : this.#layout.vm_prev);
    const low = physical.u32(link);
    const high = physical.u32(link + 4);
    if ((high | low) === 0) return false;
    const { startPage, endPage } = cursor;
    this.#reader.load(cursor, high, low);
    const ordered = direction === 'forward' ? cursor.startPage >= endPage : cursor.endPage <= startPage;
    if (!ordered) throw new VmaTreeError('cycle', 'vm_area_struct', high, low);
    return true;
  }
}

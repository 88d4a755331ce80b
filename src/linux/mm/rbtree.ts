import type { Kernel } from '../kernel.ts';
import { type VmaCursor, VmaReader } from './vma-cursor.ts';
import type { Direction, VmaTree } from './vma-tree.ts';
import { VmaTreeError } from './vma-tree-error.ts';

/** Offsets that the red-black tree of VMAs needs; kernels up to 6.0 have them. */
interface RbLayout {
  /** Of `struct rb_root` in `mm_struct`. */
  readonly mm_rb: number;
  /** Of `struct rb_node` in `vm_area_struct`. */
  readonly vm_rb: number;
}

/** More levels than a balanced tree of 2^32 nodes has; the reference page's bound. */
const MAX_STEPS = 64;

/**
 * The red-black tree of VMAs: `mm->mm_rb` (up to 6.0; `IntLixMmFindVmaInRbTree` of the reference page). A
 * neighbour is found by going down again from the root, so that a rotation in the guest costs a retry at most.
 */
export class VmaRbTree implements VmaTree {
  readonly kind = 'rbtree';
  readonly #kernel: Pick<Kernel, 'memory' | 'layout'>;
  readonly #layout: RbLayout;
  readonly #reader: VmaReader;
  readonly #mmHigh: number;
  readonly #mmLow: number;

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, layout: RbLayout, mmHigh: number, mmLow: number) {
    this.#kernel = kernel;
    this.#layout = layout;
    this.#reader = new VmaReader(kernel, mmHigh, mmLow);
    this.#mmHigh = mmHigh;
    this.#mmLow = mmLow;
  }

  /** Goes down from the root: 64 steps at most. */
  seek(page: number, direction: Direction, cursor: VmaCursor): boolean {
    const { memory, layout } = this.#kernel;
    const { physical } = memory;
    let link = memory.locate(this.#mmHigh, this.#mmLow) + this.#layout.mm_rb;
    let bestHigh = 0;
    let bestLow = 0;
    for (let steps = 0; ; steps++) {
      const low = physical.u32(link);
      const high = physical.u32(link + 4);
      if ((high | low) === 0) break;
      if (steps === MAX_STEPS) throw new VmaTreeError('limit', 'rb_node', high, low);
      this.#loadNode(cursor, high, low);
      if (cursor.contains(page)) {
        this.#reader.loadRest(cursor);
        return true;
      }
      const right = cursor.endPage <= page;
      if (right === (direction === 'backward')) {
        bestHigh = cursor.high;
        bestLow = cursor.low;
      }
      link =
        cursor.physical + this.#layout.vm_rb + (right ? layout.rb_node.rb_right : layout.rb_node.rb_left);
    }
    if ((bestHigh | bestLow) === 0) return false;
    this.#reader.load(cursor, bestHigh, bestLow);
    return true;
  }

  step(direction: Direction, cursor: VmaCursor): boolean {
    if (direction === 'forward') return this.seek(cursor.endPage, direction, cursor);
    return cursor.startPage > 0 && this.seek(cursor.startPage - 1, direction, cursor);
  }

  /** Loads the limits of the VMA that a node is embedded in. */
  #loadNode(cursor: VmaCursor, high: number, low: number): void {
    const borrow = low < this.#layout.vm_rb ? 1 : 0;
    this.#reader.loadLimits(cursor, (high - borrow) >>> 0, (low - this.#layout.vm_rb) >>> 0);
  }
}

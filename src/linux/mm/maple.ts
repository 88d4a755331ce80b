import type { Kernel } from '../kernel.ts';
import { type MapleTreeLayout, MapleWalker } from './maple-walker.ts';
import { type VmaCursor, VmaReader } from './vma-cursor.ts';
import type { Direction, VmaTree } from './vma-tree.ts';

/** The maple tree of VMAs: `mm->mm_mt` (since 6.1). */
export class VmaMapleTree implements VmaTree {
  readonly kind = 'maple';
  readonly #walker: MapleWalker;
  readonly #reader: VmaReader;

  constructor(
    kernel: Pick<Kernel, 'memory' | 'layout'>,
    layout: MapleTreeLayout,
    mmHigh: number,
    mmLow: number,
  ) {
    this.#walker = new MapleWalker(kernel, layout, mmHigh, mmLow);
    this.#reader = new VmaReader(kernel, mmHigh, mmLow);
  }

  seek(page: number, direction: Direction, cursor: VmaCursor): boolean {
    const walker = this.#walker;
    if (!walker.seek(page)) return false;
    walker.readEntry();
    if ((walker.entryHigh | walker.entryLow) === 0 && !walker.advance(direction)) return false;
    this.#reader.load(cursor, walker.entryHigh, walker.entryLow);
    return true;
  }

  /** Goes on from where the last look-up of this tree ended if that is where the cursor stands, else seeks. */
  step(direction: Direction, cursor: VmaCursor): boolean {
    const walker = this.#walker;
    if (walker.entryHigh !== cursor.high || walker.entryLow !== cursor.low)
      return this.#seekBeside(direction, cursor);
    if (!walker.advance(direction)) return false;
    this.#reader.load(cursor, walker.entryHigh, walker.entryLow);
    return true;
  }

  #seekBeside(direction: Direction, cursor: VmaCursor): boolean {
    if (direction === 'forward') return this.seek(cursor.endPage, direction, cursor);
    return cursor.startPage > 0 && this.seek(cursor.startPage - 1, direction, cursor);
  }
}

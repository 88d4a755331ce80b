import { ObjectWindow } from '../../memory/object-window.ts';
import type { Kernel } from '../kernel.ts';
import type { MapleLayout } from '../layout.ts';
import { pageNumber } from './vma-cursor.ts';
import type { Direction } from './vma-tree.ts';
import { VmaTreeError } from './vma-tree-error.ts';

/** What the walker needs of the kernel's layout; kernels since 6.1 have it. */
export interface MapleTreeLayout extends MapleLayout {
  /** Of `mm_mt.ma_root` in `mm_struct`. */
  readonly root: number;
  /** Bytes of a `maple_node`. */
  readonly nodeSize: number;
  readonly parent: number;
  readonly rangePivots: number;
  readonly rangeSlotsAt: number;
  readonly arangePivots: number;
  readonly arangeSlotsAt: number;
}

/** `MAPLE_HEIGHT_MAX` (lib/maple_tree.c). */
const MAX_DEPTH = 31;
/** Nodes that one walk reads: twice those of a tree that holds as many VMAs as a walk visits. */
const MAX_NODES = 1 << 20;
/** The last page of a 64-bit address space. */
const LAST_PAGE = 2 ** 52 - 1;
/** The low byte of an encoded node: type, flags and, in the root, the mark of a node. */
const NODE_MASK = 0xff;

/** A node on the way from the root to where the walker stands, and the slot that was taken there. */
class Level {
  /** Guest-physical. */
  node = 0;
  nodeHigh = 0;
  nodeLow = 0;
  isLeaf = false;
  /** Pages that the node covers. */
  first = 0;
  last = 0;
  slot = 0;
  slotCount = 0;
  /** Where pivots and slots begin within the node. */
  pivotsAt = 0;
  slotsAt = 0;
}

/**
 * A position in a maple tree that is indexed by address (lib/maple_tree.c, since 6.1). VMAs begin and end at
 * pages, so that the tree's 64-bit pivots are kept as page numbers, which are exact in a number.
 *
 * A node's slot `i` covers the pages after pivot `i - 1` up to pivot `i`; a pivot of 0 (but the first), and the
 * last slot, reach to the node's own end. Slots behind the one that reaches it are stale.
 */
export class MapleWalker {
  /** Words of the entry that the walker stands on: a `vm_area_struct`, or null for a gap. */
  entryHigh = 0;
  entryLow = 0;
  readonly #kernel: Pick<Kernel, 'memory'>;
  readonly #layout: MapleTreeLayout;
  readonly #mmHigh: number;
  readonly #mmLow: number;
  /** The path from the root; as many levels as the deepest way so far had. */
  readonly #levels: Level[] = [];
  #depth = -1;
  /** The level that the walker stands on; one that does not count while the depth is -1. */
  #level = new Level();
  readonly #window: ObjectWindow;
  /** The level whose node the window shows, if any: good within one method, as memory is used between them. */
  #shown: Level | undefined;
  #nodesLeft = MAX_NODES;

  constructor(kernel: Pick<Kernel, 'memory'>, layout: MapleTreeLayout, mmHigh: number, mmLow: number) {
    this.#kernel = kernel;
    this.#layout = layout;
    this.#window = new ObjectWindow(kernel.memory.physical, layout.nodeSize);
    this.#mmHigh = mmHigh;
    this.#mmLow = mmLow;
  }

  /** Stands on the slot that covers a page; false when the tree is empty. */
  seek(page: number): boolean {
    this.#shown = undefined;
    this.#nodesLeft = MAX_NODES;
    if (!this.#enterRoot()) return false;
    for (;;) {
      this.#level.slot = this.#slotOf(this.#level, page);
      if (this.#level.isLeaf) return true;
      this.#enterChild();
    }
  }

  /** Goes on to the next slot that is no gap; false at the tree's end. */
  advance(direction: Direction): boolean {
    this.#shown = undefined;
    if (this.#depth >= 0) this.#refuseDead();
    do {
      if (!this.#nextSlot(direction)) return false;
      while (!this.#level.isLeaf) {
        this.#enterChild();
        const page = direction === 'forward' ? this.#level.first : this.#level.last;
        this.#level.slot = this.#slotOf(this.#level, page);
      }
      this.readEntry();
    } while ((this.entryHigh | this.entryLow) === 0);
    return true;
  }

  /** Reads the entry of the leaf slot that the walker stands on; right after it was moved there. */
  readEntry(): void {
    const window = this.#show(this.#level);
    const at = this.#level.slotsAt + 8 * this.#level.slot;
    this.entryLow = window.u32(at);
    this.entryHigh = window.u32(at + 4);
    // Values below 4096 are the tree's own, such as XA_ZERO_ENTRY where fork ran out of memory.
    if (this.entryHigh === 0 && this.entryLow < 4096) this.entryLow = 0;
  }

  /** Leaves leaf and nodes until there is a next slot on that side; false at the root's end. */
  #nextSlot(direction: Direction): boolean {
    while (this.#depth >= 0) {
      const level = this.#level;
      if (direction === 'backward' && level.slot > 0) {
        level.slot -= 1;
        return true;
      }
      if (direction === 'forward' && this.#slotEnd(level, level.slot) < level.last) {
        level.slot += 1;
        return true;
      }
      this.#depth -= 1;
      this.#level = this.#levels[this.#depth] ?? level;
    }
    return false;
  }

  /** The slot of a node that covers a page; checks that pivots ascend. */
  #slotOf(level: Level, page: number): number {
    let before = level.first - 1;
    for (let slot = 0; ; slot++) {
      const end = this.#slotEnd(level, slot);
      if (end <= before) throw this.#torn();
      if (page <= end) return slot;
      before = end;
    }
  }

  /** Last page that a slot covers. */
  #slotEnd(level: Level, slot: number): number {
    if (slot >= level.slotCount - 1) return level.last;
    const window = this.#show(level);
    const at = level.pivotsAt + 8 * slot;
    const low = window.u32(at);
    const high = window.u32(at + 4);
    if ((high | low) === 0 && slot > 0) return level.last;
    return Math.min(pageNumber(high, low), level.last);
  }

  /** The node of a level. */
  #show(level: Level): ObjectWindow {
    if (this.#shown !== level) this.#window.open(level.node);
    this.#shown = level;
    return this.#window;
  }

  #enterRoot(): boolean {
    const { memory } = this.#kernel;
    const root = memory.locate(this.#mmHigh, this.#mmLow) + this.#layout.root;
    const low = memory.physical.u32(root);
    const high = memory.physical.u32(root + 4);
    this.#depth = -1;
    if ((high | low) === 0) return false;
    // xa_is_node(): the root points to a node when its two lowest bits are 10.
    if ((low & 3) !== 2) throw new VmaTreeError('torn', 'maple_tree', this.#mmHigh, this.#mmLow);
    this.#enter(high, low, 0, LAST_PAGE);
    return true;
  }

  #enterChild(): void {
    const level = this.#level;
    const { slot } = level;
    const first = slot === 0 ? level.first : this.#slotEnd(level, slot - 1) + 1;
    const last = this.#slotEnd(level, slot);
    const window = this.#show(level);
    const at = level.slotsAt + 8 * slot;
    this.#enter(window.u32(at + 4), window.u32(at), first, last);
  }

  /** Goes down into an encoded node: its address in all but the low byte, its type in bits 3 to 6. */
  #enter(high: number, low: number, first: number, last: number): void {
    const layout = this.#layout;
    const nodeLow = (low & ~NODE_MASK) >>> 0;
    const type = (low >>> 3) & 0xf;
    if (this.#depth + 1 === MAX_DEPTH || this.#nodesLeft === 0)
      throw new VmaTreeError('limit', 'maple_node', high, nodeLow);
    const node = this.#kernel.memory.tryLocate(high, nodeLow);
    if (node < 0) throw new VmaTreeError('unreadable', 'maple_node', high, nodeLow);
    this.#nodesLeft -= 1;
    this.#depth += 1;
    this.#shown = undefined;
    const level = this.#levelAt(this.#depth);
    const allocation = type === layout.arange64;
    level.node = node;
    level.nodeHigh = high;
    level.nodeLow = nodeLow;
    level.isLeaf = type === layout.leaf64;
    level.first = first;
    level.last = last;
    level.slotCount = allocation ? layout.arangeSlots : layout.rangeSlots;
    level.pivotsAt = allocation ? layout.arangePivots : layout.rangePivots;
    level.slotsAt = allocation ? layout.arangeSlotsAt : layout.rangeSlotsAt;
    this.#level = level;
    const known = level.isLeaf || allocation || type === layout.range64;
    if (!known || first > last) throw new VmaTreeError('torn', 'maple_node', high, nodeLow);
    this.#refuseDead();
  }

  #levelAt(depth: number): Level {
    const level = this.#levels[depth] ?? new Level();
    this.#levels[depth] = level;
    return level;
  }

  /** `ma_dead_node()`: a node that was replaced is its own parent. */
  #refuseDead(): void {
    const level = this.#level;
    const window = this.#show(level);
    const parent = this.#layout.parent;
    const parentLow = (window.u32(parent) & ~NODE_MASK) >>> 0;
    if (parentLow === level.nodeLow && window.u32(parent + 4) === level.nodeHigh)
      throw new VmaTreeError('torn', 'maple_node', level.nodeHigh, level.nodeLow);
  }

  #torn(): VmaTreeError {
    return new VmaTreeError('torn', 'maple_tree', this.#mmHigh, this.#mmLow);
  }
}

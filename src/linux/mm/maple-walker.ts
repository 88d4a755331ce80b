import type { Kernel } from '../kernel.ts';
import type { MapleLayout } from '../layout.ts';
import { pageNumber } from './vma-cursor.ts';
import { type Direction, VmaTreeError } from './vma-tree.ts';

/** What the walker needs of the kernel's layout; kernels since 6.1 have it. */
export interface MapleTreeLayout extends MapleLayout {
  /** Of `mm_mt.ma_root` in `mm_struct`. */
  readonly root: number;
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
  /** The path from the root, by depth. */
  readonly #node = new Float64Array(MAX_DEPTH);
  readonly #nodeHigh = new Uint32Array(MAX_DEPTH);
  readonly #nodeLow = new Uint32Array(MAX_DEPTH);
  readonly #type = new Uint8Array(MAX_DEPTH);
  readonly #slot = new Int32Array(MAX_DEPTH);
  readonly #first = new Float64Array(MAX_DEPTH);
  readonly #last = new Float64Array(MAX_DEPTH);
  #depth = -1;
  #nodesLeft = MAX_NODES;

  constructor(kernel: Pick<Kernel, 'memory'>, layout: MapleTreeLayout, mmHigh: number, mmLow: number) {
    this.#kernel = kernel;
    this.#layout = layout;
    this.#mmHigh = mmHigh;
    this.#mmLow = mmLow;
  }

  /** Stands on the slot that covers a page; false when the tree is empty. */
  seek(page: number): boolean {
    this.#nodesLeft = MAX_NODES;
    if (!this.#enterRoot()) return false;
    for (;;) {
      this.#slot[this.#depth] = this.#slotOf(this.#depth, page);
      if (this.#isLeaf(this.#depth)) return true;
      this.#enterChild();
    }
  }

  /** Goes on to the next slot that is no gap; false at the tree's end. */
  advance(direction: Direction): boolean {
    if (this.#depth >= 0) this.#refuseDead();
    do {
      if (!this.#nextSlot(direction)) return false;
      while (!this.#isLeaf(this.#depth)) {
        this.#enterChild();
        const page = direction === 'forward' ? this.#at(this.#first) : this.#at(this.#last);
        this.#slot[this.#depth] = this.#slotOf(this.#depth, page);
      }
      this.readEntry();
    } while ((this.entryHigh | this.entryLow) === 0);
    return true;
  }

  /** Reads the entry of the leaf slot that the walker stands on. */
  readEntry(): void {
    const { physical } = this.#kernel.memory;
    const at = this.#slotAddress();
    this.entryLow = physical.u32(at);
    this.entryHigh = physical.u32(at + 4);
    // Values below 4096 are the tree's own, such as XA_ZERO_ENTRY where fork ran out of memory.
    if (this.entryHigh === 0 && this.entryLow < 4096) this.entryLow = 0;
  }

  /** Leaves leaf and nodes until there is a next slot on that side; false at the root's end. */
  #nextSlot(direction: Direction): boolean {
    for (; this.#depth >= 0; this.#depth--) {
      const depth = this.#depth;
      const slot = this.#slot[depth] ?? 0;
      if (direction === 'backward' && slot > 0) {
        this.#slot[depth] = slot - 1;
        return true;
      }
      if (direction === 'forward' && this.#slotEnd(depth, slot) < this.#at(this.#last)) {
        this.#slot[depth] = slot + 1;
        return true;
      }
    }
    return false;
  }

  #at(bounds: Float64Array): number {
    return bounds[this.#depth] ?? 0;
  }

  /** The slot of a node that covers a page; checks that pivots ascend. */
  #slotOf(depth: number, page: number): number {
    let before = (this.#first[depth] ?? 0) - 1;
    for (let slot = 0; ; slot++) {
      const end = this.#slotEnd(depth, slot);
      if (end <= before) throw this.#torn();
      if (page <= end) return slot;
      before = end;
    }
  }

  /** Last page that a slot covers. */
  #slotEnd(depth: number, slot: number): number {
    const last = this.#last[depth] ?? 0;
    const layout = this.#layout;
    const allocation = this.#type[depth] === layout.arange64;
    if (slot >= (allocation ? layout.arangeSlots : layout.rangeSlots) - 1) return last;
    const { physical } = this.#kernel.memory;
    const at = (this.#node[depth] ?? 0) + (allocation ? layout.arangePivots : layout.rangePivots) + 8 * slot;
    const low = physical.u32(at);
    const high = physical.u32(at + 4);
    if ((high | low) === 0 && slot > 0) return last;
    return Math.min(pageNumber(high, low), last);
  }

  #slotAddress(): number {
    const layout = this.#layout;
    const slots = this.#type[this.#depth] === layout.arange64 ? layout.arangeSlotsAt : layout.rangeSlotsAt;
    return this.#at(this.#node) + slots + 8 * (this.#slot[this.#depth] ?? 0);
  }

  #isLeaf(depth: number): boolean {
    return this.#type[depth] === this.#layout.leaf64;
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
    const { physical } = this.#kernel.memory;
    const slot = this.#slot[this.#depth] ?? 0;
    const first = slot === 0 ? this.#at(this.#first) : this.#slotEnd(this.#depth, slot - 1) + 1;
    const last = this.#slotEnd(this.#depth, slot);
    const at = this.#slotAddress();
    this.#enter(physical.u32(at + 4), physical.u32(at), first, last);
  }

  /** Goes down into an encoded node: its address in all but the low byte, its type in bits 3 to 6. */
  #enter(high: number, low: number, first: number, last: number): void {
    const { memory } = this.#kernel;
    const layout = this.#layout;
    const nodeLow = (low & ~NODE_MASK) >>> 0;
    const type = (low >>> 3) & 0xf;
    if (this.#depth + 1 === MAX_DEPTH || this.#nodesLeft === 0)
      throw new VmaTreeError('limit', 'maple_node', high, nodeLow);
    const node = memory.tryLocate(high, nodeLow);
    if (node < 0) throw new VmaTreeError('unreadable', 'maple_node', high, nodeLow);
    this.#nodesLeft -= 1;
    this.#depth += 1;
    this.#node[this.#depth] = node;
    this.#nodeHigh[this.#depth] = high;
    this.#nodeLow[this.#depth] = nodeLow;
    this.#type[this.#depth] = type;
    this.#first[this.#depth] = first;
    this.#last[this.#depth] = last;
    const known = type === layout.leaf64 || type === layout.range64 || type === layout.arange64;
    if (!known || first > last) throw new VmaTreeError('torn', 'maple_node', high, nodeLow);
    this.#refuseDead();
  }

  /** `ma_dead_node()`: a node that was replaced is its own parent. */
  #refuseDead(): void {
    const { physical } = this.#kernel.memory;
    const high = this.#nodeHigh[this.#depth] ?? 0;
    const low = this.#nodeLow[this.#depth] ?? 0;
    const parent = this.#at(this.#node) + this.#layout.parent;
    const parentLow = (physical.u32(parent) & ~NODE_MASK) >>> 0;
    if (parentLow === low && physical.u32(parent + 4) === high)
      throw new VmaTreeError('torn', 'maple_node', high, low);
  }

  #torn(): VmaTreeError {
    return new VmaTreeError('torn', 'maple_tree', this.#mmHigh, this.#mmLow);
  }
}

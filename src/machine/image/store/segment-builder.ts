import { type Precedence, SegmentTable } from './segment-table.ts';

/** Collects segments in the order of the file and resolves overlaps; takes memory in proportion to their number. */
export class SegmentBuilder {
  #starts = new Float64Array(64);
  #ends = new Float64Array(64);
  #places = new Float64Array(64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds `[start, start + size)`, whose first byte is at `place` in the file. Empty ones are left out. */
  add(start: number, size: number, place: number): void {
    if (size <= 0) return;
    if (this.#count === this.#starts.length) this.#grow();
    this.#starts[this.#count] = start;
    this.#ends[this.#count] = start + size;
    this.#places[this.#count] = place;
    this.#count++;
  }

  /** The table, and whether segments overlapped. */
  build(precedence: Precedence): { readonly table: SegmentTable; readonly overlapping: boolean } {
    const order = this.#sorted();
    const overlapping = this.#overlap(order);
    // n segments have 2n ends, between which there are at most 2n - 1 pieces.
    const pieces = overlapping ? 2 * this.#count : this.#count;
    const sweep = new Sweep(this.#starts, this.#ends, this.#places, order, precedence, pieces);
    return { table: sweep.run(), overlapping };
  }

  #grow(): void {
    this.#starts = widened(this.#starts);
    this.#ends = widened(this.#ends);
    this.#places = widened(this.#places);
  }

  #sorted(): Uint32Array {
    const order = Uint32Array.from({ length: this.#count }, (_, index) => index);
    const starts = this.#starts;
    const ascending = order.every((index) => index === 0 || at(starts, index - 1) <= at(starts, index));
    return ascending ? order : order.sort((a, b) => at(starts, a) - at(starts, b) || a - b);
  }

  #overlap(order: Uint32Array): boolean {
    let end = 0;
    for (const index of order) {
      if (at(this.#starts, index) < end) return true;
      end = at(this.#ends, index);
    }
    return false;
  }
}

/** A sweep over the segments by address, with those that hold the current address in a heap by rank. */
class Sweep {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #places: Float64Array;
  readonly #order: Uint32Array;
  readonly #heap: RankHeap;
  readonly #out: [Float64Array, Float64Array, Float64Array];
  #count = 0;

  constructor(
    starts: Float64Array,
    ends: Float64Array,
    places: Float64Array,
    order: Uint32Array,
    precedence: Precedence,
    pieces: number,
  ) {
    this.#starts = starts;
    this.#ends = ends;
    this.#places = places;
    this.#order = order;
    this.#heap = new RankHeap(order.length, precedence === 'last' ? 1 : -1);
    this.#out = [new Float64Array(pieces), new Float64Array(pieces), new Float64Array(pieces)];
  }

  run(): SegmentTable {
    let next = 0;
    let address = 0;
    while (next < this.#order.length || this.#heap.size > 0) {
      if (this.#heap.size === 0) address = this.#startOf(next);
      while (this.#startOf(next) <= address) this.#heap.push(at(this.#order, next++));
      const top = this.#heap.top();
      if (at(this.#ends, top) <= address) {
        this.#heap.pop();
        continue;
      }
      const end = Math.min(at(this.#ends, top), this.#startOf(next));
      this.#emit(address, end, at(this.#places, top) + (address - at(this.#starts, top)));
      address = end;
    }
    const [starts, ends, places] = this.#out;
    return new SegmentTable(
      starts.slice(0, this.#count),
      ends.slice(0, this.#count),
      places.slice(0, this.#count),
      this.#count,
    );
  }

  #startOf(position: number): number {
    const index = this.#order[position];
    return index === undefined ? Number.POSITIVE_INFINITY : at(this.#starts, index);
  }

  #emit(start: number, end: number, place: number): void {
    const [starts, ends, places] = this.#out;
    const last = this.#count - 1;
    const joins =
      last >= 0 && ends[last] === start && at(places, last) + (start - at(starts, last)) === place;
    if (!joins) {
      starts[this.#count] = start;
      places[this.#count] = place;
      this.#count++;
    }
    ends[this.#count - 1] = end;
  }
}

/** A binary heap of segment numbers; `sign` 1 puts the largest on top, -1 the smallest. */
class RankHeap {
  size = 0;
  readonly #items: Uint32Array;
  readonly #sign: 1 | -1;

  constructor(capacity: number, sign: 1 | -1) {
    this.#items = new Uint32Array(capacity);
    this.#sign = sign;
  }

  top(): number {
    return at(this.#items, 0);
  }

  push(item: number): void {
    let place = this.size++;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      if (!this.#above(item, at(this.#items, parent))) break;
      this.#items[place] = at(this.#items, parent);
      place = parent;
    }
    this.#items[place] = item;
  }

  pop(): void {
    const item = at(this.#items, --this.size);
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.#above(at(this.#items, child + 1), at(this.#items, child))) child++;
      if (!this.#above(at(this.#items, child), item)) break;
      this.#items[place] = at(this.#items, child);
      place = child;
    }
    this.#items[place] = item;
  }

  #above(a: number, b: number): boolean {
    return (a - b) * this.#sign > 0;
  }
}

function at(array: Float64Array | Uint32Array, index: number): number {
  return array[index] ?? 0;
}

function widened(array: Float64Array): Float64Array<ArrayBuffer> {
  const wider = new Float64Array(array.length * 2);
  wider.set(array);
  return wider;
}

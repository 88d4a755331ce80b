import { gpa } from '../../../memory/address.ts';
import type { PhysicalRange } from '../../../memory/physical-memory.ts';
import type { FileRange } from '../file/bytes.ts';
import { MAXIMUM_RANGES } from './page-source.ts';

/** Which of two segments that cover the same addresses holds: the one that was added first, or last. */
export type Precedence = 'first' | 'last';

/**
 * A map from addresses to places in a file, as runs that ascend and do not overlap. Typed arrays throughout: a
 * dump may have millions of runs.
 */
export class SegmentTable {
  readonly count: number;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #places: Float64Array;

  /** @param starts,ends,places the first `count` elements of each, ascending and not overlapping */
  constructor(starts: Float64Array, ends: Float64Array, places: Float64Array, count: number) {
    this.#starts = starts;
    this.#ends = ends;
    this.#places = places;
    this.count = count;
  }

  start(index: number): number {
    return this.#starts[index] ?? Number.POSITIVE_INFINITY;
  }

  end(index: number): number {
    return this.#ends[index] ?? 0;
  }

  /** Where the first byte of a run is in the file. */
  place(index: number): number {
    return this.#places[index] ?? 0;
  }

  /** The run that holds `address`, or -1. */
  find(address: number): number {
    const index = this.nextAfter(address) - 1;
    return index >= 0 && address < this.end(index) ? index : -1;
  }

  /** The first run that starts after `address`; `count` when there is none. */
  nextAfter(address: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.start(middle) <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether runs cover all of `[address, address + length)`. */
  covers(address: number, length: number): boolean {
    const end = address + length;
    let next = address;
    for (let index = this.find(address); index >= 0 && this.start(index) <= next; index++) {
      next = this.end(index);
      if (next >= end) return true;
    }
    return length <= 0;
  }

  /** Every run, with where its first byte is in the file. */
  runs(): FileRange[] {
    return Array.from({ length: this.count }, (_, index) => ({
      start: gpa(this.start(index)),
      size: this.end(index) - this.start(index),
      offset: this.place(index),
    }));
  }

  /** The addresses that are covered, up to a million ranges; runs that touch are one range. */
  ranges(): readonly PhysicalRange[] {
    const ranges: PhysicalRange[] = [];
    for (let index = 0; index < this.count && ranges.length < MAXIMUM_RANGES; ) {
      const start = this.start(index);
      let end = this.end(index++);
      while (this.start(index) === end) end = this.end(index++);
      ranges.push({ start: gpa(start), size: end - start });
    }
    return ranges;
  }
}

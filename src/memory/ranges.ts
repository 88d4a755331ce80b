import type { PhysicalRange } from './physical-memory.ts';

/**
 * The first address at or after `address` that no range covers.
 * @param ranges ascending and not overlapping; adjacent ranges count as one
 */
export function coveredUpTo(ranges: readonly PhysicalRange[], address: number): number {
  let next = address;
  for (const { start, size } of ranges) {
    if (next < start) break;
    if (next < start + size) next = start + size;
  }
  return next;
}

/** Whether all of `[address, address + length)` is covered; nothing at all always is. */
export function covers(ranges: readonly PhysicalRange[], address: number, length: number): boolean {
  return coveredUpTo(ranges, address) >= address + length;
}

/** Throws a RangeError unless the ranges ascend without overlapping and none is empty. */
export function checkRanges(ranges: readonly PhysicalRange[]): void {
  let end = 0;
  for (const { start, size } of ranges) {
    if (!(start >= end && size > 0)) throw new RangeError('memory ranges must ascend and not overlap');
    end = start + size;
  }
}

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SegmentBuilder } from '../../../src/machine/image/store/segment-builder.ts';
import type { Precedence, SegmentTable } from '../../../src/machine/image/store/segment-table.ts';

type Segment = readonly [start: number, size: number];

const LIMIT = 120;
const segments = fc.array(fc.tuple(fc.nat(90), fc.nat(25)), { maxLength: 14 });

function build(
  list: readonly Segment[],
  precedence: Precedence,
): { table: SegmentTable; overlapping: boolean } {
  const builder = new SegmentBuilder();
  list.forEach(([start, size], index) => {
    builder.add(start, size, 1000 * index);
  });
  return builder.build(precedence);
}

/** What holds at each address, found the slow way. */
function expected(list: readonly Segment[], precedence: Precedence): (number | undefined)[] {
  const places: (number | undefined)[] = Array.from({ length: LIMIT }, () => undefined);
  list.forEach(([start, size], index) => {
    for (let at = start; at < start + size; at++) {
      if (precedence === 'last' || places[at] === undefined) places[at] = 1000 * index + (at - start);
    }
  });
  return places;
}

describe('SegmentBuilder', () => {
  test.each(['first', 'last'] as const)(
    'gives each address to the %s segment that names it',
    (precedence) => {
      fc.assert(
        fc.property(segments, (list) => {
          const { table } = build(list, precedence);
          const found = Array.from({ length: LIMIT }, (_, address) => {
            const index = table.find(address);
            return index < 0 ? undefined : table.place(index) + (address - table.start(index));
          });
          expect(found).toEqual(expected(list, precedence));
        }),
        { seed: 3, numRuns: 3000 },
      );
    },
  );

  test('covers exactly what its ranges say', () => {
    fc.assert(
      fc.property(segments, fc.nat(LIMIT), fc.integer({ min: 1, max: 30 }), (list, address, length) => {
        const { table } = build(list, 'first');
        const places = expected(list, 'first');
        const whole = Array.from({ length }, (_, index) => places[address + index]).every(
          (place) => place !== undefined,
        );
        expect(table.covers(address, length)).toBe(whole);
        expect(
          table.ranges().some(({ start, size }) => address >= start && address + length <= start + size),
        ).toBe(whole);
      }),
      { seed: 4, numRuns: 3000 },
    );
  });

  test('says whether segments overlapped', () => {
    expect(
      build(
        [
          [10, 5],
          [0, 10],
        ],
        'first',
      ).overlapping,
    ).toBe(false);
    expect(
      build(
        [
          [10, 5],
          [0, 11],
        ],
        'first',
      ).overlapping,
    ).toBe(true);
  });

  test('joins segments that go on in the address and in the file', () => {
    const builder = new SegmentBuilder();
    for (let index = 0; index < 1000; index++) builder.add(index * 8, 8, 64 + index * 8);
    expect(builder.build('last').table.count).toBe(1);
  });

  test('a hundred thousand segments that all overlap take no more than a moment', () => {
    const builder = new SegmentBuilder();
    for (let index = 0; index < 100_000; index++) builder.add(index, 200_000, index * 7);
    const started = performance.now();
    expect(builder.build('last').table.find(150_000)).toBeGreaterThanOrEqual(0);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

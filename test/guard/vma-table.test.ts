import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VmaTable } from '../../src/guard/vma-table.ts';

describe('VmaTable', () => {
  test('finds by page, by range and by object', () => {
    const table = new VmaTable();
    const first = table.track(1, 10, 20, false);
    const second = table.track(2, 30, 40, true);
    expect(table.findByPage(9)).toBeUndefined();
    expect(table.findByPage(10)).toBe(first);
    expect(table.findByPage(19)).toBe(first);
    expect(table.findByPage(20)).toBeUndefined();
    expect(table.findByRange(20, 30)).toBeUndefined();
    expect(table.findByRange(15, 35)).toBe(first);
    expect(table.findByRange(20, 31)).toBe(second);
    expect(table.findByObject(2)).toBe(second);
    expect([...table]).toEqual([first, second]);
  });

  test('a VMA that grew, moved or shrank is tracked as it is now', () => {
    const table = new VmaTable();
    table.track(1, 10, 20, true);
    table.track(1, 12, 30, false);
    expect([...table]).toEqual([{ object: 1, start: 12, end: 30, wasWritable: true }]);
  });

  test('a new VMA displaces what the guest unmapped unseen', () => {
    const table = new VmaTable();
    table.track(1, 10, 20, false);
    table.track(2, 15, 25, false);
    expect([...table]).toEqual([
      { object: 1, start: 10, end: 15, wasWritable: false },
      { object: 2, start: 15, end: 25, wasWritable: false },
    ]);
  });

  test('a split keeps that the memory was writable', () => {
    const table = new VmaTable();
    table.track(1, 10, 20, true);
    expect(table.track(2, 12, 14, false).wasWritable).toBe(true);
    expect([...table].map(({ start, end }) => [start, end])).toEqual([
      [10, 12],
      [12, 14],
      [14, 20],
    ]);
  });

  test('an empty range is refused', () => {
    expect(() => new VmaTable().track(1, 5, 5, false)).toThrow(RangeError);
  });

  test('holds what a plain map of pages holds, whatever is done', () => {
    const page = fc.integer({ min: 0, max: 40 });
    const operation = fc.record({
      kind: fc.constantFrom('track', 'untrackRange', 'untrack'),
      object: fc.integer({ min: 1, max: 6 }),
      start: page,
      length: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const table = new VmaTable();
        for (const { kind, object, start, length } of operations) {
          if (kind === 'track') table.track(object, start, start + length, false);
          else if (kind === 'untrackRange') table.untrackRange(start, start + length);
          else table.untrack(object);
          const areas = [...table];
          for (let index = 1; index < areas.length; index++)
            expect(areas[index - 1]?.end).toBeLessThanOrEqual(areas[index]?.start ?? 0);
          for (let probe = 0; probe < 60; probe++)
            expect(table.findByPage(probe)).toBe(
              areas.find((area) => area.start <= probe && probe < area.end),
            );
          if (kind === 'track')
            expect(table.findByObject(object)).toMatchObject({ start, end: start + length });
          if (kind === 'untrackRange') expect(table.findByRange(start, start + length)).toBeUndefined();
          if (kind === 'untrack') expect(table.findByObject(object)).toBeUndefined();
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

import { describe, expect, test } from 'vitest';
import { visitLeaves } from '../../src/x86/leaf-entries.ts';
import { PageTables } from '../../src/x86/page-tables.ts';
import { ArrayMemory } from '../support/array-memory.ts';

const PAGE = 4096;
const PRESENT = 0x7n;
const LARGE = 0x80n;
const NX = 1n << 63n;

/** Root at page 1, then one table a level: pages 2, 3, 4. */
function tables(): { memory: ArrayMemory; tables: PageTables } {
  const memory = new ArrayMemory(16 * PAGE);
  memory.setU64(PAGE + 8 * 255, BigInt(2 * PAGE) | PRESENT);
  memory.setU64(2 * PAGE + 8 * 511, BigInt(3 * PAGE) | PRESENT);
  memory.setU64(3 * PAGE + 8 * 1, BigInt(4 * PAGE) | PRESENT);
  memory.setU64(3 * PAGE + 8 * 2, 0x4000_0000n | PRESENT | LARGE | NX);
  memory.setU64(4 * PAGE + 8 * 7, 0x5000n | PRESENT | NX);
  memory.setU64(4 * PAGE + 8 * 8, 0x6000n | PRESENT);
  memory.setU64(4 * PAGE + 8 * 9, 0x7000n);
  return { memory, tables: new PageTables(memory, PAGE, 4) };
}

/** First page that the table at page 4 maps: indices 255, 511, 1. */
const BASE = 255 * 512 ** 3 + 511 * 512 ** 2 + 512;

function visited(start: number, end: number, of = tables().tables): (readonly number[])[] {
  const seen: (readonly number[])[] = [];
  visitLeaves(of, start, end, (entry, high, low, level, page) =>
    seen.push([entry, high, low, level, page - BASE]),
  );
  return seen;
}

describe('visitLeaves', () => {
  const SMALL_NX = [4 * PAGE + 56, 0x8000_0000, 0x5007, 1, 7];
  const SMALL = [4 * PAGE + 64, 0, 0x6007, 1, 8];
  const LARGE_NX = [3 * PAGE + 16, 0x8000_0000, 0x4000_0087, 2, 512];

  test('a range as large as the address space costs only the tables that exist', () => {
    expect(visited(0, 2 ** 36)).toEqual([SMALL_NX, SMALL, LARGE_NX]);
  });

  test.each([
    ['one page', 7, 8, [SMALL_NX]],
    ['the end is not part of it', 8, 512, [SMALL]],
    ['inside a large page', 600, 601, [LARGE_NX]],
    ['before all', 0, 7, []],
    ['behind all', 1024, 4096, []],
    ['nothing', 8, 8, []],
  ])('%s', (_name, start, end, expected) => {
    expect(visited(BASE + start, BASE + end)).toEqual(expected);
  });

  test('a table outside RAM is counted, and the rest is visited', () => {
    const { memory, tables: of } = tables();
    memory.setU64(3 * PAGE, 0x7fff_f000n | PRESENT);
    const seen: number[] = [];
    const result = visitLeaves(of, 0, 2 ** 36, (entry) => seen.push(entry));
    expect(result).toEqual({ absentTables: 1, cut: false });
    expect(seen).toHaveLength(3);
  });

  test('tables that point to themselves end the visit', () => {
    const memory = new ArrayMemory(4 * PAGE);
    for (let index = 0; index < 512; index++) memory.setU64(PAGE + 8 * index, BigInt(PAGE) | PRESENT);
    const started = performance.now();
    const result = visitLeaves(new PageTables(memory, PAGE, 4), 0, 2 ** 36, () => {});
    expect(result.cut).toBe(true);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { highWord, lowWord } from '../../src/memory/address.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';
import { PageTables } from '../../src/x86/page-tables.ts';
import { PageWalk } from '../../src/x86/page-walk.ts';
import { ArrayMemory } from '../support/array-memory.ts';
import { PageTableWriter } from '../support/page-table-writer.ts';

const ROOT = 0x10_0000;
const NX = 1n << 63n;

function writer(levels: 4 | 5 = 4): PageTableWriter {
  return new PageTableWriter(new SparseMemory(), ROOT, levels);
}

function tablesOf({ memory, root, levels }: PageTableWriter, noExecute = true): PageTables {
  return new PageTables(memory, root, levels, noExecute);
}

function translate(tables: PageTables, address: bigint): number {
  return tables.translate(highWord(address), lowWord(address));
}

function walk(tables: PageTables, address: bigint): PageWalk {
  const into = new PageWalk();
  tables.walk(highWord(address), lowWord(address), into);
  return into;
}

describe.each([4, 5] as const)('%i-level page tables', (levels) => {
  const kernel = levels === 5 ? 0xff11_2345_6789_a000n : 0xffff_8123_4567_8000n;

  test('map pages of 4 KiB, 2 MiB and 1 GiB', () => {
    const tables = writer(levels);
    tables.set(0x7f12_3456_7000n, 0x4_5678_9067n);
    tables.set(kernel, 0x1_2340_00e3n, 2);
    tables.set(0xffff_ffff_8000_0000n, 0xc_4000_00e3n | NX, 3);
    expect(translate(tablesOf(tables), 0x7f12_3456_7abcn)).toBe(0x4_5678_9abc);
    expect(translate(tablesOf(tables), kernel + 0xdefn)).toBe(
      0x1_2340_0000 + Number((kernel & 0x1f_ffffn) + 0xdefn),
    );
    expect(translate(tablesOf(tables), 0xffff_ffff_bfff_ffffn)).toBe(0xc_7fff_ffff);
  });

  test('map nothing at addresses that are not canonical', () => {
    const tables = writer(levels);
    const beyond = levels === 5 ? 1n << 56n : 1n << 47n;
    tables.set(beyond, 0x1067n);
    expect(translate(tablesOf(tables), beyond)).toBe(-1);
    expect(walk(tablesOf(tables), beyond)).toMatchObject({
      outcome: 'non-canonical',
      level: 0,
      entryAddress: -1,
    });
    expect(walk(tablesOf(tables), beyond - 1n).outcome).toBe('not-present');
  });

  test('end at an entry that points to themselves', () => {
    const memory = new SparseMemory();
    memory.map(ROOT, 4096);
    for (let entry = 0; entry < 512; entry++) memory.place64(ROOT + entry * 8, BigInt(ROOT) | 0x67n);
    expect(translate(new PageTables(memory, ROOT, levels), 0x1234_5678n)).toBe(ROOT + 0x678);
  });
});

describe('a page walk', () => {
  test('tells the leaf entry, its page and its permissions', () => {
    const tables = writer();
    const entry = tables.set(0x40_0000n, 0x4_5678_9065n | NX);
    expect(walk(tablesOf(tables), 0x40_0123n)).toMatchObject({
      outcome: 'mapped',
      level: 1,
      entryAddress: entry,
      entryHigh: 0x8000_0004,
      entryLow: 0x5678_9065,
      physical: 0x4_5678_9123,
      pageSize: 4096,
      writable: false,
      user: true,
      noExecute: true,
      noExecuteBelowRoot: true,
    });
  });

  test('gathers permissions from every level', () => {
    const tables = writer();
    tables.set(0x40_0000n, 0x1067n);
    tables.set(0x40_0000n, BigInt(ROOT + 0x2000) | 0x61n, 3);
    expect(walk(tablesOf(tables), 0x40_0000n)).toMatchObject({
      outcome: 'mapped',
      writable: false,
      user: false,
    });
  });

  test('keeps apart what KPTI forbids in the root alone', () => {
    const tables = writer();
    tables.set(0x40_0000n, 0x1067n);
    tables.set(0x40_0000n, BigInt(ROOT + 0x1000) | 0x67n | NX, 4);
    expect(walk(tablesOf(tables), 0x40_0000n)).toMatchObject({ noExecute: true, noExecuteBelowRoot: false });
  });

  test.each([
    ['an empty entry', 0n, 1, 'not-present'],
    ['a swapped-out page', 0x1234_5600_0000_0002n, 1, 'not-present'],
    ['a page that nobody may access', 0x1_2345_6120n, 1, 'prot-none'],
    ['a large page that nobody may access', 0x1_2340_01a0n, 2, 'prot-none'],
    ['a directory entry that is not present', 0x100n, 2, 'not-present'],
    ['a large page with reserved bits', 0x1_2340_20e7n, 2, 'reserved'],
    ['a huge page with reserved bits', 0x1_2020_00e7n, 3, 'reserved'],
    ['a large page where there can be none', 0xe7n, 4, 'reserved'],
    ['a table outside RAM', 0xf_ffff_ffff_f067n, 2, 'absent'],
  ])('ends at %s', (_, entry, level, outcome) => {
    const tables = writer();
    const place = tables.set(0x40_0000n, entry, level);
    const found = walk(tablesOf(tables), 0x40_0000n);
    expect(found).toMatchObject({ outcome, physical: -1, writable: false, user: false });
    if (outcome !== 'absent') expect(found).toMatchObject({ level, entryAddress: place });
    expect(translate(tablesOf(tables), 0x40_0000n)).toBe(-1);
  });

  test('takes bit 63 for reserved where EFER.NXE is clear', () => {
    const tables = writer();
    tables.set(0x40_0000n, 0x1067n | NX);
    expect(walk(tablesOf(tables, false), 0x40_0000n).outcome).toBe('reserved');
    expect(translate(tablesOf(tables, false), 0x40_0000n)).toBe(-1);
  });

  test('forgets the one before', () => {
    const tables = writer();
    tables.set(0x40_0000n, 0x1067n | NX);
    const into = walk(tablesOf(tables), 0x40_0000n);
    tablesOf(tables).walk(0x7fff, 0, into);
    expect(into).toEqual(walk(tablesOf(tables), 0x7fff_0000_0000n));
  });
});

/** The same by the manual's words, in BigInt. */
function naiveTranslate(memory: ArrayMemory, root: number, levels: number, address: bigint): bigint {
  const bits = levels === 5 ? 57n : 48n;
  if (BigInt.asUintN(64, BigInt.asIntN(Number(bits), address)) !== address) return -1n;
  let table = BigInt(root);
  for (let level = levels; level > 0; level--) {
    const shift = BigInt(12 + 9 * (level - 1));
    const place = Number(table + ((address >> shift) & 511n) * 8n);
    if (!memory.contains(place, 8)) return -1n;
    const entry = memory.u64(place);
    const frame = entry & 0x000f_ffff_ffff_f000n;
    if ((entry & 1n) === 0n) return -1n;
    if (level > 1 && (entry & 0x80n) !== 0n) {
      if (level > 3) return -1n;
      const offset = (1n << shift) - 1n;
      if ((frame & offset & ~0x1000n) !== 0n) return -1n;
      return (frame & ~offset) | (address & offset);
    }
    if (level === 1) return frame | (address & 0xfffn);
    table = frame;
  }
  return -1n;
}

describe('page tables full of anything', () => {
  const pages = 16;
  const entry = fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.nat(pages + 1), fc.constantFrom(0x67n, 0x63n, 0x01n, 0x25n))
        .map(([p, b]) => BigInt(p * 4096) | b),
    },
    { weight: 2, arbitrary: fc.bigInt(0n, (1n << 64n) - 1n) },
    { weight: 1, arbitrary: fc.constantFrom(0n, 0xe7n, 0x20_00e7n, 0x4000_00e7n, 0x100n, 0x1a0n) },
  );

  test.each([4, 5] as const)('translate as the manual says with %i levels', (levels) => {
    const any = fc.record({
      entries: fc.array(entry, { minLength: 8, maxLength: 64 }),
      addresses: fc.array(fc.bigInt(0n, (1n << 64n) - 1n), { minLength: 8, maxLength: 32 }),
    });
    let mapped = 0;
    fc.assert(
      fc.property(any, ({ entries, addresses }) => {
        const memory = new ArrayMemory(pages * 4096);
        for (let at = 0; at < pages * 512; at++) memory.setU64(at * 8, entries[at % entries.length] ?? 0n);
        const tables = new PageTables(memory, 4096, levels);
        for (const raw of addresses) {
          const address = BigInt.asUintN(64, BigInt.asIntN(levels === 5 ? 57 : 48, raw));
          for (const tried of [raw, address]) {
            const expected = Number(naiveTranslate(memory, 4096, levels, tried));
            expect(translate(tables, tried)).toBe(expected);
            const found = walk(tables, tried);
            expect(found.outcome === 'mapped' ? found.physical : -1).toBe(expected);
            if (expected >= 0) mapped += 1;
          }
        }
      }),
      { numRuns: 300, seed: 2 },
    );
    expect(mapped).toBeGreaterThan(500);
  });
});

import { describe, expect, test } from 'vitest';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';
import { PageTables } from '../../src/x86/page-tables.ts';
import { TranslationCache } from '../../src/x86/translation-cache.ts';
import { PageTableWriter } from '../support/page-table-writer.ts';

function cached(slots?: number) {
  const writer = new PageTableWriter(new SparseMemory(), 0x10_0000);
  const tables = new PageTables(writer.memory, writer.root, 4);
  return { writer, tables, cache: new TranslationCache(tables, slots) };
}

describe('a cache of translations', () => {
  test('agrees with the page tables, also where slots are shared', () => {
    const { writer, tables, cache } = cached(2);
    for (let page = 0; page < 64; page++)
      writer.set(BigInt(page * 4096), BigInt(0x1_0000_0000 + page * 4096) | 0x67n);
    writer.set(0xffff_8000_0000_0000n, 0x2067n);
    for (let round = 0; round < 2; round++) {
      for (let page = 0; page < 70; page++) {
        expect(cache.translate(0, page * 4096 + 5)).toBe(tables.translate(0, page * 4096 + 5));
      }
      expect(cache.translate(0xffff_8000, 0x123)).toBe(0x2123);
    }
  });

  test('answers from before until it is cleared', () => {
    const { writer, cache } = cached();
    writer.set(0x5000n, 0x1067n);
    expect(cache.translate(0, 0x5010)).toBe(0x1010);
    writer.set(0x5000n, 0x3067n);
    expect(cache.translate(0, 0x5020)).toBe(0x1020);
    cache.clear();
    expect(cache.translate(0, 0x5020)).toBe(0x3020);
  });

  test('does not keep what was not mapped', () => {
    const { writer, cache } = cached();
    expect(cache.translate(0, 0x5000)).toBe(-1);
    writer.set(0x5000n, 0x1067n);
    expect(cache.translate(0, 0x5000)).toBe(0x1000);
  });

  test('does not take an empty slot for page 0', () => {
    const { cache } = cached();
    expect(cache.translate(0, 0)).toBe(-1);
  });

  test('has a power of two of slots', () => {
    expect(() => cached(100)).toThrow(RangeError);
  });
});

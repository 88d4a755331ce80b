import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LivePageCache, PageCache } from '../../src/memory/page-cache.ts';
import { PhysicalMemoryError } from '../../src/memory/physical-memory.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';

const GIB = 2 ** 30;

/** Sparse memory that counts how often it is read. */
class Counting extends SparseMemory {
  reads = 0;

  override read(address: number, target: Uint8Array): void {
    this.reads++;
    super.read(address, target);
  }
}

function counting(): Counting {
  const memory = new Counting();
  for (const page of [0, 1, 2, 5, 0x10_0000]) {
    memory.place(
      page * 4096,
      Uint8Array.from({ length: 4096 }, (_, i) => (i * 31 + page) & 0xff),
    );
  }
  return memory;
}

describe('a page cache', () => {
  test('answers as the memory below it, whatever is read in whatever order', () => {
    const below = counting();
    const cache = new PageCache(below, 2);
    const address = fc.oneof(
      fc.integer({ min: -8, max: 0x7000 }),
      fc.integer({ min: 4 * GIB - 8, max: 4 * GIB + 0x1008 }),
    );
    const read = fc.record({ address, width: fc.constantFrom('u8', 'u16', 'u32') });
    fc.assert(
      fc.property(fc.array(read, { maxLength: 30 }), (reads) => {
        for (const { address, width } of reads) {
          expect(attempt(() => cache[width](address))).toEqual(attempt(() => below[width](address)));
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  test('reads a page once, until it is told to forget', () => {
    const below = counting();
    const cache = new PageCache(below, 4);
    for (let i = 0; i < 100; i++) cache.u32(4 * i);
    expect(below.reads).toBe(1);
    cache.invalidate();
    cache.u32(0);
    expect(below.reads).toBe(2);
  });

  test('a page that was never read is not confused with an empty slot', () => {
    const cache = new PageCache(counting(), 1);
    for (const address of [-1, -4096, Number.NaN])
      expect(() => cache.u8(address)).toThrow(PhysicalMemoryError);
  });

  test('a failed read does not leave a page behind', () => {
    const below = counting();
    const cache = new PageCache(below, 1);
    cache.u8(0);
    expect(() => cache.u8(3 * 4096)).toThrow(PhysicalMemoryError);
    expect(cache.u8(5)).toBe(below.u8(5));
  });

  test('long reads go round it', () => {
    const below = counting();
    const cache = new PageCache(below, 4);
    const bytes = new Uint8Array(0x2000);
    cache.read(0x800, bytes);
    expect(bytes[0x1000]).toBe(below.u8(0x1800));
    cache.read(0x800, new Uint8Array(16));
    expect(below.reads).toBe(2);
  });

  test.each([0, -1, 1.5])('cannot have %d slots', (slots) => {
    expect(() => new PageCache(new SparseMemory(), slots)).toThrow(RangeError);
  });
});

describe('a cache over a running guest', () => {
  test('keeps pages while synchronous code runs and not longer', async () => {
    const below = counting();
    const cache = new LivePageCache(below, 4);
    const before = cache.u8(0);
    below.write(0, Uint8Array.of(before ^ 0xff));
    expect(cache.u8(0)).toBe(before);
    await Promise.resolve();
    expect(cache.u8(0)).toBe(before ^ 0xff);
  });

  test('writes go through and are seen at once, across pages too', () => {
    const below = counting();
    const cache = new LivePageCache(below, 4);
    cache.u8(0);
    cache.u8(4096);
    cache.write(4094, Uint8Array.of(1, 2, 3, 4));
    expect(cache.u16(4094)).toBe(0x0201);
    expect(cache.u16(4096)).toBe(0x0403);
    expect(below.u32(4094)).toBe(0x04030201);
  });
});

function attempt(read: () => number): number | string {
  try {
    return read();
  } catch (error) {
    expect(error).toBeInstanceOf(PhysicalMemoryError);
    return 'no memory';
  }
}

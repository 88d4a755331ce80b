import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gpa } from '../../src/memory/address.ts';
import { ObjectWindow } from '../../src/memory/object-window.ts';
import { PageCache } from '../../src/memory/page-cache.ts';
import { PhysicalMemoryError } from '../../src/memory/physical-memory.ts';
import { readLeniently } from '../../src/memory/read-leniently.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';

const SIZE = 200;

function filled(pages: readonly number[]): SparseMemory {
  const memory = new SparseMemory();
  for (const page of pages)
    memory.place(
      page * 4096,
      Uint8Array.from({ length: 4096 }, (_, at) => (at * 13 + page) & 0xff),
    );
  return memory;
}

describe('a window on a structure', () => {
  test('shows what the memory holds, also across pages, whatever was shown before', () => {
    const memory = filled([0, 1, 2, 3, 64]);
    const window = new ObjectWindow(new PageCache(memory, 2), SIZE);
    const multipleOf4 = (max: number) => fc.integer({ min: 0, max: max / 4 }).map((words) => 4 * words);
    const address = fc.oneof(multipleOf4(4 * 4096 - SIZE), fc.constant(64 * 4096 + 8));
    const place = fc.record({ address, offset: multipleOf4(SIZE - 4) });
    fc.assert(
      fc.property(fc.array(place, { maxLength: 20 }), (places) => {
        for (const { address, offset } of places) {
          window.open(address);
          expect(window.u32(offset)).toBe(wordAt(memory, address + offset));
        }
      }),
    );
  });

  test('is refused where not all of the structure is RAM', () => {
    const memory = filled([0, 1]);
    for (const below of [memory, new PageCache(memory, 2)]) {
      const window = new ObjectWindow(below, SIZE);
      for (const address of [2 * 4096 - SIZE + 1, 2 * 4096, 1e15])
        expect(() => window.open(address)).toThrow(PhysicalMemoryError);
    }
  });
});

describe('a lenient read', () => {
  test('has zeros where pages are missing, and the rest as it is', () => {
    const memory = filled([0, 2]);
    const bytes = new Uint8Array(3 * 4096 - 100).fill(0xff);
    readLeniently(memory, 100, bytes);
    const page = (number: number) =>
      Uint8Array.from({ length: 4096 }, (_, at) => (number === 1 ? 0 : (at * 13 + number) & 0xff));
    expect(
      Buffer.concat([page(0), page(1), page(2)])
        .subarray(100)
        .equals(bytes),
    ).toBe(true);
    expect(memory.contains(gpa(4096), 1)).toBe(false);
  });
});

function wordAt(memory: SparseMemory, address: number): number {
  const bytes = Buffer.alloc(4);
  memory.read(address, bytes);
  return bytes.readUInt32LE();
}

import { expect, test } from 'vitest';
import { PhysicalMemoryError } from '../../src/memory/physical-memory.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';

test('only mapped pages are memory, adjacent ones one range', () => {
  const memory = new SparseMemory();
  memory.place64(0x1000, 0x1122_3344_5566_7788n);
  memory.map(0x2fff, 2);
  memory.map(2 ** 40, 1);
  expect(memory.ranges).toEqual([
    { start: 0x1000, size: 0x3000 },
    { start: 2 ** 40, size: 0x1000 },
  ]);
  expect([memory.u32(0x1000), memory.u32(0x1004)]).toEqual([0x5566_7788, 0x1122_3344]);
  expect(memory.contains(0x1000, 0x3000)).toBe(true);
  memory.unmap(0x2000);
  expect(memory.contains(0x1000, 0x3000)).toBe(false);
  expect(() => memory.u8(0x2000)).toThrow(PhysicalMemoryError);
});

test('what crosses into a missing page is not written at all', () => {
  const memory = new SparseMemory();
  memory.map(0, 1);
  expect(() => memory.write(0xffe, Uint8Array.of(1, 2, 3))).toThrow(PhysicalMemoryError);
  expect(memory.u16(0xffe)).toBe(0);
});

test('words across pages', () => {
  const memory = new SparseMemory();
  memory.place(0xffd, Uint8Array.of(0x11, 0x22, 0x33, 0xf4));
  expect(memory.u32(0xffd)).toBe(0xf433_2211);
  expect(memory.u16(0xfff)).toBe(0xf433);
});

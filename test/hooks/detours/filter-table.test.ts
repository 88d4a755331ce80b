import { describe, expect, test } from 'vitest';
import { FILTER_COUNT_OFFSET, FILTER_SLOTS, firstSlot } from '../../../src/hooks/detours/filter-layout.ts';
import { FILTER_CAPACITY, FilterTable } from '../../../src/hooks/detours/filter-table.ts';
import { ArrayMemory } from '../../support/array-memory.ts';

const AT = 0x1000;

/** Looks an address up as the guest's stubs do. */
function guestFinds(memory: ArrayMemory, address: bigint): boolean {
  if (memory.u32(AT + FILTER_COUNT_OFFSET) === 0) return false;
  let slot = firstSlot(address);
  for (let steps = 0; steps <= FILTER_SLOTS; steps++) {
    const entry = memory.u64(AT + 8 * slot);
    if (entry === 0n) return false;
    if (entry === address) return true;
    slot = (slot + 1) % FILTER_SLOTS;
  }
  throw new Error('the search does not end');
}

describe('the table of protected address spaces', () => {
  test('holds for the guest what it holds for the engine, whatever is added and deleted', () => {
    const memory = new ArrayMemory(0x3000);
    const table = new FilterTable(memory, AT);
    const held = new Set<bigint>();
    let state = 1;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let step = 0; step < 5000; step++) {
      const address = 0xffff_8880_0000_0000n + BigInt(0x440 * random(200));
      if (held.has(address) || held.size >= 90) {
        table.delete(address);
        held.delete(address);
      } else {
        table.add(address);
        held.add(address);
      }
      expect(table.count).toBe(held.size);
      if (step % 50 !== 0) continue;
      for (let index = 0; index < 200; index++) {
        const other = 0xffff_8880_0000_0000n + BigInt(0x440 * index);
        expect(guestFinds(memory, other)).toBe(held.has(other));
        expect(table.has(other)).toBe(held.has(other));
      }
    }
  });

  test('says when it is full, and takes more once something is deleted', () => {
    const memory = new ArrayMemory(0x3000);
    const table = new FilterTable(memory, AT);
    const nth = (index: number) => 0xffff_8880_0000_0000n + BigInt(0x1000 * index);
    for (let index = 0; index < FILTER_CAPACITY; index++) table.add(nth(index));
    expect(() => table.add(nth(FILTER_CAPACITY))).toThrow(/no more address spaces/);
    table.delete(nth(5));
    table.add(nth(FILTER_CAPACITY));
    expect(guestFinds(memory, nth(FILTER_CAPACITY))).toBe(true);
    expect(guestFinds(memory, nth(5))).toBe(false);
  });

  test('goes on taking and giving up address spaces for ever', () => {
    const memory = new ArrayMemory(0x3000);
    const table = new FilterTable(memory, AT);
    for (let index = 0; index < 100_000; index++) {
      const address = 0xffff_8880_0000_0000n + BigInt(0x40 * index);
      table.add(address);
      if (index >= 20) table.delete(address - BigInt(0x40 * 20));
    }
    expect(table.count).toBe(20);
    expect(guestFinds(memory, 0xffff_8880_0000_0000n + 0x40n * 99_999n)).toBe(true);
  });

  test('adding twice and deleting what is not there change nothing', () => {
    const table = new FilterTable(new ArrayMemory(0x3000), AT);
    table.add(0xffff_8880_0000_1000n);
    table.add(0xffff_8880_0000_1000n);
    table.delete(0xffff_8880_0000_2000n);
    expect(table.count).toBe(1);
    expect(() => table.add(0n)).toThrow(RangeError);
  });
});

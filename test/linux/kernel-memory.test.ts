import { describe, expect, test } from 'vitest';
import { KernelMemory, KernelMemoryError } from '../../src/linux/kernel-memory.ts';
import { gva, highWord, lowWord } from '../../src/memory/address.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';
import { PageTables } from '../../src/x86/page-tables.ts';
import { PageTableWriter } from '../support/page-table-writer.ts';

const DIRECT = gva(0xffff_8d12_c000_0000n);
const IMAGE = gva(0xffff_ffff_a080_0000n);
const VMALLOC = gva(0xffff_c900_0000_0000n);

function kernelMemory(): { memory: KernelMemory; ram: SparseMemory } {
  const ram = new SparseMemory();
  ram.map(0, 0x4_0000);
  ram.map(0x1_0000_0000, 0x1000);
  const tables = new PageTableWriter(ram, 0x10_0000);
  tables.set(VMALLOC, 0x3_0063n);
  tables.set(VMALLOC + 0x1000n, 0x1_0063n);
  tables.set(VMALLOC + 0x2000n, 0xf000_0063n);
  tables.set(0xffff_fffe_ffff_f000n, 0x1_1063n);
  tables.set(0xffff_ffff_0000_0000n, 0x1_3063n);
  const image = { virtualStart: IMAGE, physicalStart: 0x2_0000, size: 0x1_0000 };
  const direct = { virtualStart: DIRECT, physicalStart: 0, size: 0x1_0000_1000 };
  const pageTables = new PageTables(ram, tables.root, 4);
  return { memory: new KernelMemory(ram, pageTables, image, direct), ram };
}

describe('kernel memory', () => {
  const { memory, ram } = kernelMemory();
  const locate = (address: bigint) => memory.tryLocate(highWord(address), lowWord(address));

  test('locates the direct map and the image by subtraction, the rest by page tables', () => {
    expect(locate(DIRECT + 0x1234n)).toBe(0x1234);
    expect(locate(DIRECT + 0x1_0000_0ffcn)).toBe(0x1_0000_0ffc);
    expect(locate(IMAGE + 0xffffn)).toBe(0x2_ffff);
    expect(locate(VMALLOC + 0x1008n)).toBe(0x1_0008);
  });

  test('locates nothing outside of them, nor where there is no RAM', () => {
    for (const address of [
      DIRECT - 1n,
      DIRECT + 0x8000_0000n,
      DIRECT + 0x1_0000_1000n,
      IMAGE - 1n,
      IMAGE + 0x1_0000n,
      VMALLOC + 0x2000n,
      0n,
      0x7fff_ffff_ffffn,
      0x8000_0000_0000_0000n,
      0xffff_ffff_ffff_ffffn,
    ]) {
      expect(locate(address)).toBe(-1);
    }
  });

  test('names the address that is not mapped', () => {
    const address = gva(0xffff_b000_1234_5678n);
    expect(() => memory.locateAddress(address)).toThrow(KernelMemoryError);
    expect(() => memory.readU64(address)).toThrow('kernel address 0xffffb00012345678 (GVA) is not mapped');
    try {
      memory.readBytes(gva(VMALLOC + 0x1ff0n), 32);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'unreadable', address: VMALLOC + 0x2000n });
    }
  });

  test('reads across pages that are apart, also across 4 GiB', () => {
    ram.place(0x3_0ffc, Uint8Array.of(1, 2, 3, 4));
    ram.place(0x1_0000, Uint8Array.of(5, 6, 7, 8));
    expect([...memory.readBytes(gva(VMALLOC + 0xffcn), 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(memory.readU64(gva(VMALLOC + 0xffcn))).toBe(0x0807_0605_0403_0201n);
    expect(memory.readU32(gva(VMALLOC + 0xffen))).toBe(0x0605_0403);
    ram.place(0x1_1fff, Uint8Array.of(9));
    ram.place(0x1_3000, Uint8Array.of(10));
    expect([...memory.readBytes(gva(0xffff_fffe_ffff_ffffn), 2)]).toEqual([9, 10]);
  });

  test('reads text up to its end or its bound', () => {
    ram.place(0x3_0ff0, Buffer.from('a'.repeat(16)));
    ram.place(0x1_0000, Buffer.from('bc\0d'));
    expect(memory.readCString(gva(VMALLOC + 0xff0n), 64)).toBe(`${'a'.repeat(16)}bc`);
    expect(memory.readCString(gva(VMALLOC + 0xff0n), 4)).toBe('aaaa');
    expect(memory.readCString(gva(VMALLOC + 0xff0n), 0)).toBe('');
  });

  test('refuses lengths that only a broken structure asks for', () => {
    for (const length of [2 ** 40, -1, Number.NaN]) {
      expect(() => memory.readBytes(IMAGE, length)).toThrow(expect.objectContaining({ code: 'limit' }));
    }
  });
});

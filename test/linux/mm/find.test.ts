import { describe, expect, test } from 'vitest';
import { findVma, findVmaRange } from '../../../src/linux/mm/find.ts';
import { VmaCursor } from '../../../src/linux/mm/vma-cursor.ts';
import { VmaTreeError } from '../../../src/linux/mm/vma-tree-error.ts';
import { type GuestVirtualAddress, gva, highWord, lowWord } from '../../../src/memory/address.ts';
import { SyntheticKernel } from '../../support/synthetic-kernel.ts';
import { addressOf, areasOf, writeAddressSpace } from '../../support/vma-structures.ts';

const AREAS = areasOf(Array.from({ length: 100 }, () => [1, 2] as const));

function find(kernel: SyntheticKernel, mm: GuestVirtualAddress, page: number): number | undefined {
  const cursor = new VmaCursor();
  const address = addressOf(page);
  const found = findVma(kernel, mm, highWord(address), lowWord(address), cursor);
  return found ? cursor.startPage : undefined;
}

describe.each(['list and red-black tree', 'maple tree'] as const)('with a %s', (vmas) => {
  test('the VMA of an address is found, and none in a gap', () => {
    const kernel = new SyntheticKernel({ vmas });
    const { mm } = writeAddressSpace(kernel, AREAS);
    for (const { startPage, endPage } of AREAS) {
      expect(find(kernel, mm, startPage)).toBe(startPage);
      expect(find(kernel, mm, endPage - 1)).toBe(startPage);
      expect(find(kernel, mm, endPage)).toBeUndefined();
    }
    const cursor = new VmaCursor();
    const address = addressOf(AREAS[50]?.startPage ?? 0);
    expect(findVmaRange(kernel, mm, highWord(address), lowWord(address), cursor)).toEqual(AREAS[50]);
    expect(findVmaRange(kernel, mm, 0, 0, cursor)).toBeUndefined();
  });

  test('an address space that is not in memory is an error that names it', () => {
    const kernel = new SyntheticKernel({ vmas });
    const nowhere = kernel.allocate(0x10_0000);
    kernel.physical.unmap(kernel.physicalOf(nowhere));
    expect(() => find(kernel, nowhere, 1)).toThrow(VmaTreeError);
  });
});

describe('a torn red-black tree', () => {
  const { layout } = new SyntheticKernel();
  const rb = layout.vm_area_struct.vm_rb ?? 0;

  /** Breaks the root of the tree, which holds the area in the middle. */
  function broken(change: (kernel: SyntheticKernel, root: GuestVirtualAddress) => void) {
    const kernel = new SyntheticKernel();
    const space = writeAddressSpace(kernel, AREAS);
    change(kernel, space.vmas[50] ?? gva(0n));
    return { kernel, ...space };
  }

  test('that leads astray is made up for by the list', () => {
    const { kernel, mm } = broken((made, root) => made.put(root, rb + layout.rb_node.rb_left, 0n));
    expect(find(kernel, mm, AREAS[3]?.startPage ?? 0)).toBe(AREAS[3]?.startPage);
    expect(find(kernel, mm, 0)).toBeUndefined();
  });

  test.each([
    ['a cycle', (root: bigint) => root + BigInt(rb)],
    ['a wild pointer', () => 0xffff_9999_1234_5678n],
    ['a user address', () => 0x7fff_0000_1000n],
  ])('with %s is made up for by the list', (_what, target) => {
    const { kernel, mm } = broken((made, root) => made.put(root, rb + layout.rb_node.rb_left, target(root)));
    expect(find(kernel, mm, AREAS[3]?.startPage ?? 0)).toBe(AREAS[3]?.startPage);
  });

  test('whose list is broken, too, is an error', () => {
    const { kernel, mm } = broken((made, root) => {
      made.put(root, rb + layout.rb_node.rb_left, 0xdead_beefn);
      made.put(root, layout.vm_area_struct.vm_start, 0n);
      made.put(root, layout.vm_area_struct.vm_end, 0n);
    });
    expect(() => find(kernel, mm, AREAS[60]?.startPage ?? 0)).toThrow(/vm_area_struct.*contradicts itself/);
  });
});

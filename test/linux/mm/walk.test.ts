import { describe, expect, test } from 'vitest';
import type { Cut } from '../../../src/linux/cut.ts';
import { findVma } from '../../../src/linux/mm/find.ts';
import { VmaCursor } from '../../../src/linux/mm/vma-cursor.ts';
import { VmaTreeError } from '../../../src/linux/mm/vma-tree-error.ts';
import { walkVmas } from '../../../src/linux/mm/walk.ts';
import { type GuestVirtualAddress, gva, highWord, lowWord } from '../../../src/memory/address.ts';
import { SyntheticKernel } from '../../support/synthetic-kernel.ts';
import {
  addressOf,
  areasOf,
  type WrittenAddressSpace,
  writeAddressSpace,
} from '../../support/vma-structures.ts';

const AREAS = areasOf(Array.from({ length: 200 }, (_, index) => [index % 2, 2] as const));
const STARTS = AREAS.map(({ startPage }) => startPage);
const LIST = 'list and red-black tree';
const MAPLE = 'maple tree';

interface Walked {
  readonly starts: readonly number[];
  readonly cut: Cut | undefined;
}

function walk(kernel: SyntheticKernel, mm: GuestVirtualAddress, limit?: number): Walked {
  const starts: number[] = [];
  const options = limit === undefined ? {} : { limit };
  const cut = walkVmas(kernel, mm, ({ startPage }) => starts.push(startPage) > 0, options);
  return { starts, cut };
}

function written(vmas: typeof LIST | typeof MAPLE): { kernel: SyntheticKernel } & WrittenAddressSpace {
  const kernel = new SyntheticKernel({ vmas });
  return { kernel, ...writeAddressSpace(kernel, AREAS) };
}

describe.each([LIST, MAPLE] as const)('a walk over a %s', (vmas) => {
  test('visits all, and says nothing is missing', () => {
    const { kernel, mm } = written(vmas);
    expect(walk(kernel, mm)).toEqual({ starts: STARTS, cut: undefined });
  });

  test('ends where the visitor wants, and at its bound, which it reports', () => {
    const { kernel, mm, vmas: addresses } = written(vmas);
    let visits = 0;
    expect(walkVmas(kernel, mm, () => ++visits < 5)).toBeUndefined();
    expect(visits).toBe(5);
    const { starts, cut } = walk(kernel, mm, 7);
    expect(starts).toEqual(STARTS.slice(0, 7));
    expect(cut).toEqual({ reason: 'limit', structure: 'vm_area_struct', address: addresses[7] });
    expect(walk(kernel, mm, 200).cut).toBeUndefined();
  });

  test('visits an area again that the visitor found torn, and gives up where it stays so', () => {
    const { kernel, mm } = written(vmas);
    const starts: number[] = [];
    let refusals = 3;
    const cut = walkVmas(kernel, mm, ({ startPage, high, low }) => {
      if (startPage === STARTS[9] && refusals-- > 0)
        throw new VmaTreeError('torn', 'vm_area_struct', high, low);
      starts.push(startPage);
      return true;
    });
    expect({ starts, cut }).toEqual({ starts: STARTS, cut: undefined });
    const refused = walkVmas(kernel, mm, ({ high, low }) => {
      throw new VmaTreeError('torn', 'vm_area_struct', high, low);
    });
    expect(refused?.reason).toBe('torn');
  });

  test('keeps what came before an area of another address space', () => {
    const { kernel, mm, vmas: addresses } = written(vmas);
    kernel.put(addresses[20] ?? gva(0n), kernel.layout.vm_area_struct.vm_mm, kernel.allocate(64));
    const { starts, cut } = walk(kernel, mm);
    expect(starts).toEqual(STARTS.slice(0, 20));
    expect(cut).toMatchObject({ reason: 'torn', structure: 'vm_area_struct' });
  });
});

describe('a broken list', () => {
  const { vm_area_struct: layout, mm_struct } = new SyntheticKernel().layout;

  test.each([
    ['a cycle', (space: WrittenAddressSpace) => space.vmas[3] ?? 0n],
    ['a link to itself', (space: WrittenAddressSpace) => space.vmas[10] ?? 0n],
    ['a wild pointer', () => 0xffff_9999_1234_5670n],
    ['an unaligned pointer', (space: WrittenAddressSpace) => (space.vmas[11] ?? 0n) + 1n],
  ])('with %s is made up for by the tree', (_what, target) => {
    const space = written(LIST);
    space.kernel.put(space.vmas[10] ?? gva(0n), layout.vm_next, target(space));
    expect(walk(space.kernel, space.mm)).toEqual({ starts: STARTS, cut: undefined });
    space.kernel.put(space.mm, mm_struct.mm_rb, 0xdead_0000n);
    const { starts, cut } = walk(space.kernel, space.mm);
    expect(starts).toEqual(STARTS.slice(0, 11));
    expect(cut).toBeDefined();
  });
});

describe('a broken maple tree', () => {
  const { layout } = new SyntheticKernel({ vmas: MAPLE });
  const node = layout.maple_node ?? {
    parent: 0,
    range_pivots: 0,
    range_slots: 0,
    arange_pivots: 0,
    arange_slots: 0,
  };
  const root = layout.mm_struct.mm_mt_root ?? 0;

  /** Changes the second leaf, whose areas follow those of the first. */
  function broken(change: (kernel: SyntheticKernel, leaf: GuestVirtualAddress) => void): Walked {
    const space = written(MAPLE);
    change(space.kernel, space.nodes[1] ?? gva(0n));
    return walk(space.kernel, space.mm);
  }

  test.each([
    [
      'a dead leaf',
      (kernel: SyntheticKernel, leaf: GuestVirtualAddress) => kernel.put(leaf, node.parent, leaf),
    ],
    [
      'a wild entry',
      (kernel: SyntheticKernel, leaf: GuestVirtualAddress) =>
        kernel.put(leaf, node.range_slots + 8, 0xffff_9999_0000_0000n),
    ],
  ])('with %s is cut there', (_what, change) => {
    const { starts, cut } = broken(change);
    expect(starts.length).toBeGreaterThan(5);
    expect(starts).toEqual(STARTS.slice(0, starts.length));
    expect(starts.length).toBeLessThan(STARTS.length);
    expect(cut).toBeDefined();
  });

  test.each([
    ['a root that is no node', 0x1234_5679n],
    ['a root nowhere', 0xffff_9999_0000_000en],
    ['a root of an unknown type', 0xffff_8880_0000_107en],
  ])('with %s is an empty walk with a cut', (_what, value) => {
    const space = written(MAPLE);
    space.kernel.put(space.mm, root, value);
    expect(walk(space.kernel, space.mm)).toMatchObject({
      starts: [],
      cut: { reason: expect.stringMatching(/torn|unreadable/) },
    });
  });

  test('whose nodes contain themselves ends at the bound of its depth', () => {
    const space = written(MAPLE);
    const top = space.nodes.at(-1) ?? gva(0n);
    for (let slot = 0; slot < 16; slot++) {
      space.kernel.put(top, node.range_pivots + 8 * Math.min(slot, 14), 2n ** 64n - 1n);
      space.kernel.put(top, node.range_slots + 8 * slot, top | 0x14n);
    }
    space.kernel.put(space.mm, root, top | 0x16n);
    expect(walk(space.kernel, space.mm)).toMatchObject({
      starts: [],
      cut: { reason: 'limit', structure: 'maple_node' },
    });
  });

  test('with pivots that go down is an error of a look-up', () => {
    const { kernel, mm, nodes } = written(MAPLE);
    const wanted = addressOf(STARTS[15] ?? 0);
    const look = () => findVma(kernel, mm, highWord(wanted), lowWord(wanted), new VmaCursor());
    expect(look()).toBe(true);
    kernel.put(nodes[1] ?? gva(0n), node.range_pivots + 8, 0x1fffn);
    expect(look).toThrow(/maple_tree .* contradicts itself/);
  });

  test("passes over the tree's own entries", () => {
    const { starts, cut } = broken((kernel, leaf) => kernel.put(leaf, node.range_slots + 8, 0x402n));
    expect(starts.length).toBeGreaterThanOrEqual(STARTS.length - 1);
    expect(cut).toBeUndefined();
  });
});

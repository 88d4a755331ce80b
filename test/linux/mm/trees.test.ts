import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { vmaTrees } from '../../../src/linux/mm/find.ts';
import { VmaCursor } from '../../../src/linux/mm/vma-cursor.ts';
import type { Direction, VmaTree } from '../../../src/linux/mm/vma-tree.ts';
import { SyntheticKernel } from '../../support/synthetic-kernel.ts';
import { areasOf, type WrittenVma, writeAddressSpace } from '../../support/vma-structures.ts';

const KINDS = [
  { kind: 'list', vmas: 'list and red-black tree' },
  { kind: 'rbtree', vmas: 'list and red-black tree' },
  { kind: 'maple', vmas: 'maple tree' },
] as const;

const areas = fc
  .array(fc.tuple(fc.oneof(fc.constant(0), fc.nat(40), fc.nat(2 ** 36)), fc.integer({ min: 1, max: 30 })), {
    maxLength: 400,
  })
  .map(areasOf);

/** The areas in the order in which a walk meets them. */
function walk(tree: VmaTree, direction: Direction): WrittenVma[] {
  const cursor = new VmaCursor();
  const met: WrittenVma[] = [];
  let found = tree.seek(direction === 'forward' ? 0 : 2 ** 51 - 1, direction, cursor);
  while (found) {
    met.push({ startPage: cursor.startPage, endPage: cursor.endPage });
    found = tree.step(direction, cursor);
  }
  return met;
}

function nearest(all: readonly WrittenVma[], page: number, direction: Direction): WrittenVma | undefined {
  return direction === 'forward'
    ? all.find(({ endPage }) => endPage > page)
    : all.findLast(({ startPage }) => startPage <= page);
}

describe.each(KINDS)('VMAs in a $kind', ({ kind, vmas }) => {
  const open = (written: readonly WrittenVma[]): VmaTree => {
    const kernel = new SyntheticKernel({ vmas });
    const { mm } = writeAddressSpace(kernel, written);
    const tree = vmaTrees(kernel, mm).find((candidate) => candidate.kind === kind);
    if (tree === undefined) throw new Error(`the kernel keeps no ${kind}`);
    return tree;
  };

  test('are met in order, each once, in both directions', () => {
    fc.assert(
      fc.property(areas, (written) => {
        const tree = open(written);
        expect(walk(tree, 'forward')).toEqual(written);
        expect(walk(tree, 'backward')).toEqual(written.toReversed());
      }),
      { numRuns: 60 },
    );
  });

  test('are found from any page, in both directions', () => {
    fc.assert(
      fc.property(areas, fc.array(fc.nat()), (written, seeds) => {
        const tree = open(written);
        const cursor = new VmaCursor();
        const edges = written.flatMap(({ startPage, endPage }) => [
          startPage - 1,
          startPage,
          endPage - 1,
          endPage,
        ]);
        const pages = [...seeds, ...seeds.map((seed) => edges[seed % edges.length] ?? 0)];
        for (const page of pages)
          for (const direction of ['forward', 'backward'] as const) {
            const found = tree.seek(page, direction, cursor)
              ? { startPage: cursor.startPage, endPage: cursor.endPage }
              : undefined;
            expect(found).toEqual(nearest(written, page, direction));
          }
      }),
      { numRuns: 60 },
    );
  });

  test('have neighbours also from a cursor that another look-up left there', () => {
    const written = areasOf(Array.from({ length: 300 }, (_, index) => [index % 3, 1 + (index % 5)] as const));
    const tree = open(written);
    const cursor = new VmaCursor();
    const other = new VmaCursor();
    tree.seek(written[150]?.startPage ?? 0, 'forward', cursor);
    tree.seek(written[7]?.startPage ?? 0, 'forward', other);
    expect(tree.step('forward', cursor)).toBe(true);
    expect(cursor.startPage).toBe(written[151]?.startPage);
    expect(tree.step('backward', other)).toBe(true);
    expect(other.startPage).toBe(written[6]?.startPage);
    expect(tree.step('backward', cursor)).toBe(true);
    expect(cursor.endPage).toBe(written[150]?.endPage);
  });

  test('are none in an empty address space', () => {
    const tree = open([]);
    expect(walk(tree, 'forward')).toEqual([]);
    expect(walk(tree, 'backward')).toEqual([]);
  });

  test('keep 64-bit flags and protection', () => {
    const tree = open([{ startPage: 2 ** 44 - 2, endPage: 2 ** 44 }]);
    const cursor = new VmaCursor();
    expect(tree.seek(2 ** 44 - 1, 'forward', cursor)).toBe(true);
    expect([cursor.endHigh, cursor.endLow]).toEqual([0x0100_0000, 0]);
    expect([cursor.flagsHigh, cursor.flagsLow]).toEqual([0x8000_0000, 0x73]);
    expect([cursor.protectionHigh, cursor.protectionLow]).toEqual([0x8000_0000, 0x25]);
  });
});

import { describe, expect, test } from 'vitest';
import { findGap } from '../../../src/hooks/detours/placement.ts';
import { KernelInArray, TEXT } from './kernel-in-array.ts';

/** A kernel whose text of 1 MiB has gaps at these offsets, of these sizes. */
function kernelWith(gaps: readonly [number, number][], leaf?: bigint): KernelInArray {
  const kernel = new KernelInArray(leaf);
  kernel.place('_stext', 0x10);
  kernel.place('_etext', 0x10_0000);
  for (const [offset, size] of gaps) kernel.fill(offset, size, 0xcc);
  return kernel;
}

describe('a gap in the text', () => {
  test('is the longest run of padding, in whole pages', () => {
    const { start, physical, size } = findGap(
      kernelWith([
        [0x1000, 0x4000],
        [0x8123, 0x6100],
      ]),
    );
    expect([start, physical, size]).toEqual([TEXT + 0x9000n, 0x20_9000, 0x5000]);
  });

  test('is no longer than needed', () => {
    expect(findGap(kernelWith([[0x10000, 0x80000]])).size).toBe(0x6000);
  });

  test('is none where a symbol lies in it', () => {
    const kernel = kernelWith([
      [0x10000, 0x8000],
      [0x40000, 0x4000],
    ]);
    kernel.place('srso_alias_safe_ret', 0x1_2000);
    expect(findGap(kernel).start).toBe(TEXT + 0x40000n);
  });

  test.each([
    ['there is no padding', [] as [number, number][], undefined],
    [
      'runs are shorter than four pages',
      [
        [0x1000, 0x3fff],
        [0x8800, 0x4700],
      ] as [number, number][],
      undefined,
    ],
    ['text is writable', [[0x1000, 0x8000]] as [number, number][], 0x1e3n],
    ['text cannot be executed', [[0x1000, 0x8000]] as [number, number][], 0x1e1n | (1n << 63n)],
  ])('is refused where %s', (_what, gaps, leaf) => {
    expect(() => findGap(kernelWith(gaps, leaf))).toThrow(/no gap/);
  });

  test('is refused where the bounds of text make no sense', () => {
    const kernel = kernelWith([]);
    kernel.place('_etext', 0x8);
    expect(() => findGap(kernel)).toThrow(/bounds/);
  });
});

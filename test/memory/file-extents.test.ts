import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openImage } from '../../src/machine/image/open.ts';
import { gpa } from '../../src/memory/address.ts';
import { MappedMemory } from '../../src/memory/mapped-memory.ts';

const MEBIBYTE = 2 ** 20;
const SIZE = 64 * MEBIBYTE;
let folder: string;
let sparse: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'underwatch-test-'));
  sparse = join(folder, 'sparse');
  writeFileSync(sparse, '');
  truncateSync(sparse, SIZE);
  const file = openSync(sparse, 'r+');
  for (const at of [MEBIBYTE, 40 * MEBIBYTE]) writeSync(file, Buffer.alloc(8192, 0x55), 0, 8192, at);
  closeSync(file);
});
afterAll(() => rmSync(folder, { recursive: true }));

function bytesIn(ranges: readonly { readonly size: number }[] = []): number {
  return ranges.reduce((sum, { size }) => sum + size, 0);
}

describe('the populated parts of a sparse file', () => {
  test('of a raw image hold all that was written, and little more', async () => {
    await using image = openImage(sparse);
    const populated = image.memory.populated ?? [];
    for (const at of [MEBIBYTE, 40 * MEBIBYTE])
      expect(populated.some(({ start, size }) => start <= at && start + size >= at + 8192)).toBe(true);
    expect(bytesIn(populated)).toBeLessThan(2 * MEBIBYTE);
  });

  test('follow how memory lies in the file', () => {
    using memory = new MappedMemory([
      { start: gpa(0), size: 32 * MEBIBYTE, path: sparse, offset: 0 },
      { start: gpa(2 ** 32), size: 32 * MEBIBYTE, path: sparse, offset: 32 * MEBIBYTE },
    ]);
    const starts = memory.populated?.map(({ start }) => start);
    expect(starts).toEqual([MEBIBYTE, 2 ** 32 + 8 * MEBIBYTE]);
  });

  test('of a file without holes are not told apart', async () => {
    const whole = join(folder, 'whole');
    writeFileSync(whole, Buffer.alloc(2 * MEBIBYTE, 1));
    await using image = openImage(whole);
    expect(image.memory.populated).toBeUndefined();
  });

  test('of a file that is nothing but a hole are all of it: there is nothing to go by', async () => {
    const empty = join(folder, 'hole');
    writeFileSync(empty, '');
    truncateSync(empty, 4 * MEBIBYTE);
    await using image = openImage(empty);
    expect(image.memory.populated).toBeUndefined();
  });
});

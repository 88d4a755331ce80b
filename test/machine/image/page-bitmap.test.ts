import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PageBitmap } from '../../../src/machine/image/kdump/page-bitmap.ts';

/** Bitmaps of whole bytes in runs, so that full and empty words are among them. */
const bitmaps = fc
  .array(fc.tuple(fc.constantFrom(0, 0xff, 1, 0x80, 0xa5, 0x7f), fc.integer({ min: 1, max: 40 })), {
    maxLength: 12,
  })
  .map((runs) => Uint8Array.from(runs.flatMap(([byte, count]) => Array.from({ length: count }, () => byte))));

function words(bits: Uint8Array): Uint32Array {
  const padded = new Uint8Array(Math.ceil(bits.length / 4) * 4);
  padded.set(bits);
  return new Uint32Array(padded.buffer);
}

function frames(bits: Uint8Array): boolean[] {
  return Array.from(
    { length: bits.length * 8 },
    (_, frame) => (((bits[frame >>> 3] ?? 0) >>> (frame & 7)) & 1) === 1,
  );
}

test('counts, finds and joins frames as one would by hand', () => {
  fc.assert(
    fc.property(bitmaps, fc.nat(2000), fc.nat(90), (bits, first, length) => {
      const bitmap = new PageBitmap(words(bits));
      const set = frames(bits);
      expect(bitmap.total).toBe(set.filter(Boolean).length);
      expect(bitmap.has(first)).toBe(set[first] ?? false);
      const frame = Math.min(first, Math.max(0, set.length - 1));
      expect(bitmap.rank(frame)).toBe(set.slice(0, frame).filter(Boolean).length);
      const run = Array.from({ length: length + 1 }, (_, index) => set[first + index] ?? false);
      expect(bitmap.hasAll(first, first + length)).toBe(run.every(Boolean));
      const listed = bitmap
        .ranges()
        .flatMap(({ start, size }) =>
          Array.from({ length: size / 4096 }, (_, index) => start / 4096 + index),
        );
      expect(listed).toEqual(set.flatMap((here, frame) => (here ? [frame] : [])));
    }),
    { seed: 6, numRuns: 500 },
  );
});

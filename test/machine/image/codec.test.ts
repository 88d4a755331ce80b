import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { type Compression, decompress } from '../../../src/machine/image/codec/decompress.ts';
import { DecompressionError } from '../../../src/machine/image/codec/error.ts';

const Sample = v.object({
  name: v.string(),
  length: v.number(),
  sha256: v.string(),
  lzo: v.string(),
  lzo999: v.string(),
  snappy: v.string(),
  zlib: v.string(),
  zstd: v.string(),
});

/** Made by the real tools that the file names. */
const { samples } = v.parse(
  v.object({ samples: v.array(Sample) }),
  JSON.parse(
    readFileSync(new URL('../../support/fixtures/compressed-samples.json', import.meta.url), 'utf8'),
  ),
);

const FIELDS: readonly (readonly [Exclude<keyof v.InferOutput<typeof Sample>, 'length'>, Compression])[] = [
  ['lzo', 'lzo'],
  ['lzo999', 'lzo'],
  ['snappy', 'snappy'],
  ['zlib', 'zlib'],
  ['zstd', 'zstd'],
];

const CASES = samples.flatMap((sample) =>
  FIELDS.map(([field, compression]) => ({
    name: `${field}: ${sample.name}`,
    compression,
    length: sample.length,
    sha256: sample.sha256,
    input: Buffer.from(sample[field], 'base64'),
  })),
);

/** Decompresses in the middle of a larger buffer and sees to it that nothing outside was touched. */
function guarded(compression: Compression, input: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length + 64).fill(0x5a);
  try {
    decompress(compression, input, whole.subarray(32, 32 + length));
  } finally {
    expect(whole.subarray(0, 32).every((byte) => byte === 0x5a)).toBe(true);
    expect(whole.subarray(32 + length).every((byte) => byte === 0x5a)).toBe(true);
  }
  return whole.subarray(32, 32 + length);
}

describe('decompress', () => {
  test.each(CASES)('$name, as the real compressor made it', ({ compression, input, length, sha256 }) => {
    const output = guarded(compression, input, length);
    expect(createHash('sha256').update(output).digest('hex')).toBe(sha256);
  });

  test.each(CASES)('$name refuses an output of another size', ({ compression, input, length }) => {
    expect(() => guarded(compression, input, length - 1)).toThrow(DecompressionError);
    expect(() => guarded(compression, input, length + 1)).toThrow(DecompressionError);
  });

  test.each(CASES)('$name refuses input that was cut short', ({ compression, input, length }) => {
    for (let cut = 0; cut < input.length; cut += Math.max(1, Math.floor(input.length / 50))) {
      expect(() => guarded(compression, input.subarray(0, cut), length)).toThrow(DecompressionError);
    }
  });

  test.each(['lzo', 'snappy', 'zlib', 'zstd', 'none'] as const)(
    '%s of random bytes ends with an answer or a typed error',
    (compression) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 500 }), (input, length) => {
          expectTypedFailure(() => guarded(compression, input, length));
        }),
        { seed: 1, numRuns: 2000 },
      );
    },
  );

  test('flipped bits end with an answer or a typed error, never past the output', () => {
    const small = CASES.filter(({ length }) => length <= 4096);
    fc.assert(
      fc.property(
        fc.constantFrom(...small),
        fc.nat(),
        fc.nat(7),
        ({ compression, input, length }, place, bit) => {
          const broken = Buffer.from(input);
          const at = place % broken.length;
          broken[at] = (broken[at] ?? 0) ^ (1 << bit);
          expectTypedFailure(() => guarded(compression, broken, length));
        },
      ),
      { seed: 2, numRuns: 5000 },
    );
  });
});

/** Runs `action`, which may fail only by a DecompressionError. */
function expectTypedFailure(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(DecompressionError);
  }
}

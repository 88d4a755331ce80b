import { copyLiterals, copyMatch, DecompressionError } from './error.ts';

/** The length that a Snappy block states for its content (a little-endian varint of at most 32 bits), and where its elements start. */
export function snappyLength(input: Uint8Array): { readonly length: number; readonly start: number } {
  let length = 0;
  for (let index = 0; index < 5; index++) {
    const byte = input[index];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80 && length <= 0xffff_ffff) return { length, start: index + 1 };
  }
  throw new DecompressionError('the compressed data has no length');
}

/**
 * Decompresses a raw Snappy block (format_description.txt of google/snappy) into `output` and returns the number
 * of bytes written: the stated length. Never writes past `output`; throws a DecompressionError for input that
 * does not fit.
 */
export function decompressSnappy(input: Uint8Array, output: Uint8Array): number {
  const { length, start } = snappyLength(input);
  if (length > output.length) throw new DecompressionError('the data is longer than was stated');
  const target = output.subarray(0, length);
  let from = start;
  let at = 0;
  while (from < input.length) {
    const tag = input[from++] ?? 0;
    const kind = tag & 3;
    if (kind === 0) {
      const extra = Math.max(0, (tag >>> 2) - 59);
      const count = (extra === 0 ? tag >>> 2 : littleEndian(input, from, extra)) + 1;
      from += extra;
      copyLiterals(input, from, target, at, count);
      from += count;
      at += count;
    } else {
      const size = kind === 1 ? 1 : kind === 2 ? 2 : 4;
      const field = littleEndian(input, from, size);
      from += size;
      const distance = kind === 1 ? ((tag >>> 5) << 8) | field : field;
      const count = kind === 1 ? 4 + ((tag >>> 2) & 7) : (tag >>> 2) + 1;
      if (distance === 0) throw new DecompressionError('a match has no distance');
      copyMatch(target, at, distance, count);
      at += count;
    }
  }
  if (at < length) throw new DecompressionError('the compressed data ends early');
  return length;
}

function littleEndian(input: Uint8Array, from: number, size: number): number {
  if (from + size > input.length) throw new DecompressionError('the compressed data ends early');
  let value = 0;
  for (let index = size - 1; index >= 0; index--) value = value * 256 + (input[from + index] ?? 0);
  return value;
}

import zlib from 'node:zlib';
import { DecompressionError } from './error.ts';
import { decompressLzo } from './lzo.ts';
import { decompressSnappy } from './snappy.ts';

/** How a page is stored. */
export type Compression = 'none' | 'zlib' | 'lzo' | 'snappy' | 'zstd';

/**
 * Decompresses `input` into `output`, which it must fill exactly. Memory is bounded by `output` whatever the input
 * claims. Throws a DecompressionError for input that does not decompress to that size.
 */
export function decompress(compression: Compression, input: Uint8Array, output: Uint8Array): void {
  const length = decompressInto(compression, input, output);
  if (length !== output.length)
    throw new DecompressionError(`it holds ${length} bytes, not ${output.length}`);
}

function decompressInto(compression: Compression, input: Uint8Array, output: Uint8Array): number {
  switch (compression) {
    case 'lzo':
      return decompressLzo(input, output);
    case 'snappy':
      return decompressSnappy(input, output);
    case 'zlib':
      return native(zlib.inflateSync, input, output);
    case 'zstd':
      return native(zlib.zstdDecompressSync, input, output);
    case 'none':
      if (input.length <= output.length) output.set(input);
      return input.length;
  }
}

/** How much may come out, and how much is made room for: a byte more than comes out, or the end is not seen at once. */
interface DecoderOptions {
  readonly maxOutputLength: number;
  readonly chunkSize: number;
}

type NativeDecoder = (input: Uint8Array, options: DecoderOptions) => Uint8Array;

function native(decode: NativeDecoder, input: Uint8Array, output: Uint8Array): number {
  try {
    const bytes = decode(input, { maxOutputLength: output.length, chunkSize: output.length + 1 });
    output.set(bytes);
    return bytes.length;
  } catch (cause) {
    throw new DecompressionError('the compressed data is damaged', { cause });
  }
}

import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';
import { DecompressionError } from '../codec/error.ts';
import { decompressSnappy } from '../codec/snappy.ts';
import { type ByteSource, readUpTo } from '../file/bytes.ts';
import { type ImageContent, ImageError } from '../image.ts';
import { damaged, type PageSource } from '../store/page-source.ts';
import { type AvmlFrames, indexFrames, MAXIMUM_FRAME } from './avml-frames.ts';

/** Frames that are kept decompressed, direct-mapped by number: 8 MiB. */
const CACHED_FRAMES = 128;

/**
 * AVML's compressed form (github.com/microsoft/avml, src/image.rs): after each range header a Snappy stream of frames
 * of at most 64 KiB. The frames' headers are walked once; a frame is decompressed when it is asked for.
 */
export function openAvml(file: ByteSource): ImageContent {
  const notes: string[] = [];
  const frames = indexFrames(file, notes);
  if (frames.table.count === 0) throw new ImageError('the AVML image holds no memory');
  return { format: 'AVML', source: new AvmlSource(file, frames), notes };
}

class AvmlSource implements PageSource {
  readonly ranges: readonly PhysicalRange[];
  readonly #file: ByteSource;
  readonly #frames: AvmlFrames;
  readonly #cache = new Uint8Array(CACHED_FRAMES * MAXIMUM_FRAME);
  readonly #cached = new Int32Array(CACHED_FRAMES).fill(-1);

  constructor(file: ByteSource, frames: AvmlFrames) {
    this.#file = file;
    this.#frames = frames;
    this.ranges = frames.table.ranges();
  }

  contains(address: number, length: number): boolean {
    return this.#frames.table.covers(address, length);
  }

  read(address: number, target: Uint8Array): void {
    const { table } = this.#frames;
    for (let done = 0; done < target.length; ) {
      const at = address + done;
      const index = table.find(at);
      if (index < 0) throw new PhysicalMemoryError(at);
      const piece = table.place(index) + (at - table.start(index));
      const frame = Math.floor(piece / MAXIMUM_FRAME);
      const offset = piece % MAXIMUM_FRAME;
      const length = Math.min(MAXIMUM_FRAME - offset, table.end(index) - at, target.length - done);
      target.set(this.#frame(frame, at).subarray(offset, offset + length), done);
      done += length;
    }
  }

  #frame(frame: number, address: number): Uint8Array {
    const slot = frame % CACHED_FRAMES;
    const content = this.#cache.subarray(slot * MAXIMUM_FRAME, (slot + 1) * MAXIMUM_FRAME);
    if (this.#cached[slot] !== frame) {
      this.#cached[slot] = -1;
      this.#decode(frame, address, content);
      this.#cached[slot] = frame;
    }
    return content;
  }

  #decode(frame: number, address: number, content: Uint8Array): void {
    const { position, size, length, compressed } = this.#frames.frame(frame);
    const bytes = readUpTo(this.#file, position, size);
    if (bytes.length < size) throw damaged(address, 'the image file ended or could not be read there');
    if (!compressed) {
      content.set(bytes);
      return;
    }
    try {
      decompressSnappy(bytes, content.subarray(0, length));
    } catch (error) {
      if (error instanceof DecompressionError) throw damaged(address, `snappy: ${error.message}`);
      throw error;
    }
  }
}

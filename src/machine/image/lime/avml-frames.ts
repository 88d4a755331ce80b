import { DecompressionError } from '../codec/error.ts';
import { snappyLength } from '../codec/snappy.ts';
import { type ByteSource, readUpTo } from '../file/bytes.ts';
import { ImageError } from '../image.ts';
import { GrowableNumbers } from '../store/growable-numbers.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import type { SegmentTable } from '../store/segment-table.ts';
import { isRange, LIME_HEADER_SIZE, type LimeHeader, limeHeader } from './lime.ts';

/** "AVML", little-endian. */
export const AVML_MAGIC = 0x4c4d_5641;

/** A frame's content is at most this long (Snappy's framing_format.txt). */
export const MAXIMUM_FRAME = 65_536;

/** Content and checksum of a frame are at most this long: the worst case of compression. */
const MAXIMUM_STORED = 4 + 32 + MAXIMUM_FRAME + Math.floor(MAXIMUM_FRAME / 6);

/** 256 GiB in full frames. */
const MAXIMUM_FRAMES = 2 ** 22;

/** Frames without memory: the stream's name at the start of each range, and padding. */
const MAXIMUM_SKIPPED = 2 ** 16;

/** After a range's last frame comes the length of its frames, 8 bytes. */
const TRAILER_SIZE = 8;
const CHECKSUM_SIZE = 4;

/** Kinds of frames (framing_format.txt): 2 to 127 may not be skipped, from 128 on they may. */
const COMPRESSED = 0;
const UNCOMPRESSED = 1;
const FIRST_SKIPPABLE = 0x80;

/** One frame: where its bytes are, without checksum, and how long its content is. */
export interface Frame {
  readonly position: number;
  readonly size: number;
  readonly length: number;
  readonly compressed: boolean;
}

/** The frames of an image. In the table, a place is `number of the frame * 65536 + offset in its content`. */
export class AvmlFrames {
  readonly table: SegmentTable;
  readonly #positions: GrowableNumbers;
  /** Stored size * 2^17 + content length, negative where it is not compressed. */
  readonly #sizes: GrowableNumbers;

  constructor(table: SegmentTable, positions: GrowableNumbers, sizes: GrowableNumbers) {
    this.table = table;
    this.#positions = positions;
    this.#sizes = sizes;
  }

  frame(index: number): Frame {
    const packed = Math.abs(this.#sizes.at(index));
    return {
      position: this.#positions.at(index),
      size: Math.floor(packed / 2 ** 17),
      length: packed % 2 ** 17,
      compressed: this.#sizes.at(index) > 0,
    };
  }
}

/** Walks every range and frame header; what cannot be used is said in `notes`. */
export function indexFrames(file: ByteSource, notes: string[]): AvmlFrames {
  return new FrameWalk(file, notes).run();
}

class FrameWalk {
  readonly #file: ByteSource;
  readonly #notes: string[];
  readonly #segments = new SegmentBuilder();
  readonly #positions = new GrowableNumbers();
  readonly #sizes = new GrowableNumbers();
  #position = 0;
  #skipped = 0;

  constructor(file: ByteSource, notes: string[]) {
    this.#file = file;
    this.#notes = notes;
  }

  run(): AvmlFrames {
    while (this.#position < this.#file.size) {
      const header = limeHeader(this.#file, this.#position);
      const good = header?.magic === AVML_MAGIC && header.version === 2 && isRange(header);
      if (!good || !this.#walkRange(header)) {
        this.#notes.push(
          `the image is damaged or cut short at file offset ${this.#position}: what follows is not used`,
        );
        break;
      }
    }
    const { table, overlapping } = this.#segments.build('first');
    if (overlapping) this.#notes.push('ranges overlap: the first that names an address is used');
    return new AvmlFrames(table, this.#positions, this.#sizes);
  }

  /** Walks the frames of one range; false where the file gives something else. */
  #walkRange({ start, last }: LimeHeader): boolean {
    this.#position += LIME_HEADER_SIZE;
    for (let address = start; address <= last; ) {
      const length = this.#walkFrame(address, last);
      if (length === undefined) return false;
      address += length;
    }
    this.#position += TRAILER_SIZE;
    return true;
  }

  /** Passes one frame; returns how much memory it holds, or undefined where there is none. */
  #walkFrame(address: number, last: number): number | undefined {
    const head = readUpTo(this.#file, this.#position, 13);
    if (head.length < 9) return undefined;
    const kind = head[0] ?? 0;
    const stored = (head[1] ?? 0) | ((head[2] ?? 0) << 8) | ((head[3] ?? 0) << 16);
    const end = this.#position + 4 + stored;
    if (kind >= FIRST_SKIPPABLE) {
      this.#position = end;
      return ++this.#skipped > MAXIMUM_SKIPPED ? undefined : 0;
    }
    if (kind > UNCOMPRESSED || stored <= CHECKSUM_SIZE || stored > MAXIMUM_STORED || end > this.#file.size)
      return undefined;
    const size = stored - CHECKSUM_SIZE;
    const length = kind === COMPRESSED ? statedLength(head.subarray(8)) : size;
    if (length === 0 || length > MAXIMUM_FRAME || address + length - 1 > last) return undefined;
    this.#add(address, { position: end - size, size, length, compressed: kind === COMPRESSED });
    this.#position = end;
    return length;
  }

  #add(address: number, { position, size, length, compressed }: Frame): void {
    const index = this.#positions.length;
    if (index >= MAXIMUM_FRAMES) {
      throw new ImageError(
        'the AVML image has too many frames; convert it with avml-convert to the lime format',
      );
    }
    const packed = size * 2 ** 17 + length;
    this.#positions.push(position);
    this.#sizes.push(compressed ? packed : -packed);
    this.#segments.add(address, length, index * MAXIMUM_FRAME);
  }
}

/** The content length that a compressed frame states; 0 where it states none. */
function statedLength(head: Uint8Array): number {
  try {
    return snappyLength(head).length;
  } catch (error) {
    if (error instanceof DecompressionError) return 0;
    throw error;
  }
}

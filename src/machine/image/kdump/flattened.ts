import { type ByteSource, u64, viewAt } from '../file/bytes.ts';
import { ImageError } from '../image.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import type { SegmentTable } from '../store/segment-table.ts';

/** First bytes of a flattened dump (`struct makedumpfile_header`, makedumpfile.h; all its fields big-endian). */
export const FLATTENED_SIGNATURE = 'makedumpfile';

/** The first data header comes after a header padded to this size (MAX_SIZE_MDF_HEADER). */
const HEADER_SIZE = 4096;
const DATA_HEADER_SIZE = 16;

/** 32 GiB in QEMU's pieces of 16 KiB, after compression. */
const MAXIMUM_PIECES = 2 ** 21;

/** A dump that grows beyond this when rearranged is a forgery: 4 PiB. */
const MAXIMUM_SIZE = 2 ** 52;

/**
 * A dump made for a pipe (`makedumpfile -F`, QEMU's kdump formats): pieces in the order they were written, each
 * with the offset and size it has in the dump proper. Read here as that dump: a later piece replaces an earlier
 * one, as writing to a file would, and between pieces are zeros.
 */
export class FlattenedFile implements ByteSource {
  readonly size: number;
  readonly notes: readonly string[];
  readonly #file: ByteSource;
  readonly #table: SegmentTable;

  /** @throws ImageError where there is no piece, or more than can be indexed */
  constructor(file: ByteSource) {
    const pieces = new SegmentBuilder();
    this.#file = file;
    this.notes = collect(file, pieces);
    if (pieces.count === 0) throw new ImageError('the flattened dump holds no data');
    this.#table = pieces.build('last').table;
    this.size = this.#table.end(this.#table.count - 1);
  }

  read(position: number, target: Uint8Array): number {
    const length = Math.min(target.length, this.size - position);
    let done = 0;
    while (done < length) {
      const part = target.subarray(done, length);
      const count = this.#readPiece(position + done, part);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Reads from one piece or the zeros before the next; 0 where the file gives nothing. */
  #readPiece(position: number, target: Uint8Array): number {
    const table = this.#table;
    const index = table.find(position);
    if (index < 0) {
      const gap = Math.min(target.length, table.start(table.nextAfter(position)) - position);
      target.fill(0, 0, gap);
      return gap;
    }
    const offset = position - table.start(index);
    const length = Math.min(target.length, table.end(index) - position);
    return this.#file.read(table.place(index) + offset, target.subarray(0, length));
  }
}

/** Walks the data headers; what is missing at the end is said in notes. */
function collect(file: ByteSource, pieces: SegmentBuilder): string[] {
  let position = HEADER_SIZE;
  for (;;) {
    const header = viewAt(file, position, DATA_HEADER_SIZE);
    if (header === undefined) return ['the flattened dump has no end mark: it was cut short'];
    const offset = u64(header, 0, false);
    const size = u64(header, 8, false);
    if (offset >= 2 ** 63) return [];
    if (size === 0 || size > MAXIMUM_SIZE || offset + size > MAXIMUM_SIZE) {
      return [`the flattened dump is damaged at file offset ${position}: what follows is not used`];
    }
    if (pieces.count >= MAXIMUM_PIECES) {
      throw new ImageError('the flattened dump has too many pieces; rearrange it with makedumpfile -R');
    }
    position += DATA_HEADER_SIZE;
    pieces.add(offset, Math.max(0, Math.min(size, file.size - position)), position);
    position += size;
  }
}

import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';
import type { ByteSource } from '../file/bytes.ts';
import { ReadAhead } from '../file/read-ahead.ts';
import { damaged, PAGE_SIZE, type PageSource } from './page-source.ts';
import type { SegmentTable } from './segment-table.ts';

/** Memory that lies uncompressed in runs of a file: raw, ELF core, LiME, VMware. */
export class SegmentSource implements PageSource {
  readonly ranges: readonly PhysicalRange[];
  readonly #file: ByteSource;
  readonly #ahead: ReadAhead;
  readonly #table: SegmentTable;

  constructor(file: ByteSource, table: SegmentTable) {
    this.#file = file;
    this.#ahead = new ReadAhead(file);
    this.#table = table;
    this.ranges = table.ranges();
  }

  get populated(): readonly PhysicalRange[] | undefined {
    return this.#file.populated?.(this.#table.runs());
  }

  contains(address: number, length: number): boolean {
    return this.#table.covers(address, length);
  }

  read(address: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const at = address + done;
      const index = this.#table.find(at);
      if (index < 0) throw new PhysicalMemoryError(at);
      const length = Math.min(this.#table.end(index) - at, target.length - done);
      const place = this.#table.place(index) + (at - this.#table.start(index));
      const piece = target.subarray(done, done + length);
      const count = (length > PAGE_SIZE ? this.#file : this.#ahead).read(place, piece);
      if (count < length) throw damaged(at + count, 'the image file ended or could not be read there');
      done += length;
    }
  }
}

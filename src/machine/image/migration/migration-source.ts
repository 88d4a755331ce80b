import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';
import type { ByteSource } from '../file/bytes.ts';
import { damaged, MAXIMUM_RANGES, PAGE_SIZE, type PageSource, readByPages } from '../store/page-source.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import type { SegmentTable } from '../store/segment-table.ts';
import type { RamPages } from './ram-pages.ts';

/** A guest's RAM as pages of a migration stream, laid out as the guest saw it. */
export class MigrationSource implements PageSource {
  readonly ranges: readonly PhysicalRange[];
  readonly #file: ByteSource;
  readonly #pages: RamPages;
  /** Guest-physical address to offset in RAM. */
  readonly #layout: SegmentTable;
  readonly #scratch = new Uint8Array(PAGE_SIZE);

  constructor(file: ByteSource, pages: RamPages, layout: SegmentTable) {
    this.#file = file;
    this.#pages = pages;
    this.#layout = layout;
    this.ranges = this.#presentRanges();
  }

  contains(address: number, length: number): boolean {
    const last = address + length - 1;
    for (let page = address - (address % PAGE_SIZE); page <= last; page += PAGE_SIZE) {
      if (this.#locate(page) === undefined) return false;
    }
    return true;
  }

  read(address: number, target: Uint8Array): void {
    readByPages(address, target, this.#scratch, this.#readPage);
  }

  readonly #readPage = (page: number, target: Uint8Array): void => {
    const place = this.#locate(page);
    if (place === undefined) throw new PhysicalMemoryError(page);
    if (place < 0) target.fill(-1 - place);
    else if (this.#file.read(place, target) < PAGE_SIZE) {
      throw damaged(page, 'the image file ended or could not be read there');
    }
  };

  #locate(page: number): number | undefined {
    const index = this.#layout.find(page);
    if (index < 0) return undefined;
    return this.#pages.locate((this.#layout.place(index) + page - this.#layout.start(index)) / PAGE_SIZE);
  }

  /** Runs of pages that the file has: the first million, which no machine's memory comes near. */
  #presentRanges(): readonly PhysicalRange[] {
    const present = new SegmentBuilder();
    for (const { start, size } of this.#layout.ranges()) {
      const end = start + size;
      for (let page = start as number; page < end && present.count < MAXIMUM_RANGES; page += PAGE_SIZE) {
        const from = page;
        while (page < end && this.#locate(page) !== undefined) page += PAGE_SIZE;
        present.add(from, page - from, from);
      }
    }
    return present.build('first').table.ranges();
  }
}

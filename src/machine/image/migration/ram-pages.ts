/** A page that holds one byte throughout is located at `-1 - byte`; a page of zeros at -1. */
export const ZERO_PAGE = -1;

/** Where the pages of a guest's RAM are in a file, by page number in RAM (not by guest-physical address). */
export interface RamPages {
  /** File offset of a page; negative for a page of one repeated byte; undefined where the file has no such page. */
  locate(page: number): number | undefined;
}

/** Room for the negative places below file offsets: see {@link PageIndex}. */
const FILL_CODES = 512;

/** An index with an entry of 48 bits for each page, filled in the order of a stream: the latest copy of a page holds. */
export class PageIndex implements RamPages {
  readonly #low: Uint32Array;
  readonly #high: Uint16Array;

  constructor(pages: number) {
    this.#low = new Uint32Array(pages);
    this.#high = new Uint16Array(pages);
  }

  /** Says where a page is, as {@link RamPages.locate} gives it. Pages beyond RAM are passed over. */
  set(page: number, place: number): void {
    const code = place < 0 ? -place : place + FILL_CODES;
    this.#low[page] = code >>> 0;
    this.#high[page] = code / 0x1_0000_0000;
  }

  locate(page: number): number | undefined {
    const code = (this.#low[page] ?? 0) + (this.#high[page] ?? 0) * 0x1_0000_0000;
    if (code === 0) return undefined;
    return code < FILL_CODES ? -code : code - FILL_CODES;
  }
}

/** One RAM block of a mapped-ram file: its pages lie in order, those that a bit leaves out are zeros. */
export interface MappedBlock {
  /** Number of the block's first page in RAM. */
  readonly firstPage: number;
  readonly pages: number;
  /** File offset of the first page. */
  readonly place: number;
  /** A bit for each page, least significant first. */
  readonly written: Uint8Array;
}

/** RAM of a file made with QEMU's mapped-ram capability (QEMU docs/devel/migration/mapped-ram.rst). */
export class MappedRam implements RamPages {
  readonly #blocks: readonly MappedBlock[];

  constructor(blocks: readonly MappedBlock[]) {
    this.#blocks = blocks;
  }

  locate(page: number): number | undefined {
    for (const { firstPage, pages, place, written } of this.#blocks) {
      const index = page - firstPage;
      if (index < 0 || index >= pages) continue;
      const bits = written[index >>> 3];
      if (bits === undefined) return undefined;
      return ((bits >>> (index & 7)) & 1) === 1 ? place + index * 4096 : ZERO_PAGE;
    }
    return undefined;
  }
}

import { PageCache } from '../../../memory/page-cache.ts';
import {
  type PhysicalMemory,
  PhysicalMemoryError,
  type PhysicalRange,
} from '../../../memory/physical-memory.ts';
import { ADDRESS_LIMIT, PAGE_SIZE, type PageSource } from './page-source.ts';

/** 32 MiB of pages: more than a walk of 100,000 VMAs touches. The system commits them as they are used. */
const CACHED_PAGES = 8192;
/** Pages of longer reads are not kept: whoever asks for so much keeps it. */
const KEPT_READ = 256 * 1024;

/**
 * Guest-physical memory of an image, cached by the page. Images may have a page in part (ranges of LiME's end where
 * the firmware says, files are cut anywhere); such pages are not cached, and what there is of them can be read.
 */
export class ImageMemory extends PageCache {
  readonly #compressed: boolean;

  /** @param close lets go of the files behind the source */
  constructor(source: PageSource, close: () => void) {
    super(new SourceMemory(source, close), CACHED_PAGES);
    this.#compressed = source.compressed ?? false;
  }

  override u8(address: number): number {
    try {
      return super.u8(address);
    } catch (error) {
      this.#mustHave(address, 1, error);
      return this.source.u8(address);
    }
  }

  override u16(address: number): number {
    try {
      return super.u16(address);
    } catch (error) {
      this.#mustHave(address, 2, error);
      return this.source.u16(address);
    }
  }

  override u32(address: number): number {
    try {
      return super.u32(address);
    } catch (error) {
      this.#mustHave(address, 4, error);
      return this.source.u32(address);
    }
  }

  override read(address: number, target: Uint8Array): void {
    try {
      if (this.#compressed) this.#readByPages(address, target);
      else super.read(address, target);
    } catch (error) {
      this.#mustHave(address, target.length, error);
      this.source.read(address, target);
    }
  }

  /** So that what is searched and then read is decompressed once; what is read at once is not kept besides. */
  #readByPages(address: number, target: Uint8Array): void {
    const isKept = target.length <= KEPT_READ;
    for (let done = 0; done < target.length; ) {
      const length = Math.min(target.length - done, PAGE_SIZE - ((address + done) % PAGE_SIZE));
      const piece = target.subarray(done, done + length);
      if (isKept) super.read(address + done, piece);
      else if (!this.readKept(address + done, piece)) this.source.read(address + done, piece);
      done += length;
    }
  }

  /** Throws `error` unless the image has those bytes, so that only the rest of their page made it fail. */
  #mustHave(address: number, length: number, error: unknown): void {
    if (!this.source.contains(address, length)) throw error;
  }
}

/** What is left of an image that was closed. */
const NOTHING: PageSource = {
  ranges: [],
  contains: () => false,
  read: (address) => {
    throw new PhysicalMemoryError(address, 'the image is closed');
  },
};

/** A source as physical memory, without a cache; its words serve pages that are there in part. */
class SourceMemory implements PhysicalMemory {
  #source: PageSource;
  readonly #close: () => void;
  readonly #view = new DataView(new ArrayBuffer(4));

  constructor(source: PageSource, close: () => void) {
    this.#source = source;
    this.#close = close;
  }

  get ranges(): readonly PhysicalRange[] {
    return this.#source.ranges;
  }

  get populated(): readonly PhysicalRange[] | undefined {
    return this.#source.populated;
  }

  u8(address: number): number {
    return this.#word(address, 1).getUint8(0);
  }

  u16(address: number): number {
    return this.#word(address, 2).getUint16(0, true);
  }

  u32(address: number): number {
    return this.#word(address, 4).getUint32(0, true);
  }

  read(address: number, target: Uint8Array): void {
    if (!(address >= 0 && address + target.length <= ADDRESS_LIMIT)) throw new PhysicalMemoryError(address);
    this.#source.read(address, target);
  }

  contains(address: number, length: number): boolean {
    return address >= 0 && address + length <= ADDRESS_LIMIT && this.#source.contains(address, length);
  }

  [Symbol.dispose](): void {
    this.#source = NOTHING;
    this.#close();
  }

  #word(address: number, length: number): DataView {
    this.read(address, new Uint8Array(this.#view.buffer, 0, length));
    return this.#view;
  }
}

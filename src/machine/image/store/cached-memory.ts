import {
  type PhysicalMemory,
  PhysicalMemoryError,
  type PhysicalRange,
} from '../../../memory/physical-memory.ts';
import { ADDRESS_LIMIT, PAGE_SIZE, type PageSource } from './page-source.ts';

/** 64 MiB of pages: more than a walk of 300,000 VMAs touches. The system commits them as they are used. */
const DEFAULT_PAGES = 16_384;

/** No frame below 2^44 has this number. */
const EMPTY = 0xffff_ffff;

/** Reads at least this long go past the cache: they are scans, which would only push out what walkers use. */
const BULK = 16 * PAGE_SIZE;

/**
 * Guest-physical memory of an image behind a direct-mapped cache of pages: a page lives in the slot that its
 * frame number gives modulo the number of slots. A hit costs one comparison and no allocation.
 */
export class CachedMemory implements PhysicalMemory {
  readonly #source: PageSource;
  readonly #close: () => void;
  readonly #mask: number;
  readonly #tags: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #word = new Uint8Array(4);

  /**
   * @param close lets go of the file behind the source
   * @param pages size of the cache, a power of two
   */
  constructor(source: PageSource, close: () => void, pages = DEFAULT_PAGES) {
    this.#source = source;
    this.#close = close;
    this.#mask = pages - 1;
    this.#tags = new Uint32Array(pages).fill(EMPTY);
    this.#bytes = new Uint8Array(pages * PAGE_SIZE);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }

  get ranges(): readonly PhysicalRange[] {
    return this.#source.ranges;
  }

  u8(address: number): number {
    const at = this.#locate(address);
    if (at < 0) return this.#uncached(address, 1);
    return this.#bytes[at] ?? 0;
  }

  u16(address: number): number {
    const at = this.#locate(address);
    if (at < 0) return this.#uncached(address, 2);
    return (this.#bytes[at] ?? 0) | ((this.#bytes[at + 1] ?? 0) << 8);
  }

  u32(address: number): number {
    const at = this.#locate(address);
    if (at < 0) return this.#uncached(address, 4);
    if ((at & 3) === 0) return this.#words[at >>> 2] ?? 0;
    const bytes = this.#bytes;
    const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    return (low | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
  }

  read(address: number, target: Uint8Array): void {
    if (target.length >= BULK) {
      this.#source.read(address, target);
      return;
    }
    for (let done = 0; done < target.length; ) {
      const length = Math.min(PAGE_SIZE - ((address + done) % PAGE_SIZE), target.length - done);
      this.#copy(address + done, target.subarray(done, done + length));
      done += length;
    }
  }

  contains(address: number, length: number): boolean {
    return this.#source.contains(address, length);
  }

  [Symbol.dispose](): void {
    this.#tags.fill(EMPTY);
    this.#close();
  }

  /** Where the byte at `address` is in the cache, or -1 when its page cannot be cached. */
  #locate(address: number): number {
    if (!(address >= 0 && address < ADDRESS_LIMIT)) throw new PhysicalMemoryError(address);
    const frame = (address * (1 / PAGE_SIZE)) >>> 0;
    const slot = frame & this.#mask;
    if (this.#tags[slot] !== frame && !this.#fill(frame, slot)) return -1;
    return slot * PAGE_SIZE + (address & (PAGE_SIZE - 1));
  }

  #fill(frame: number, slot: number): boolean {
    const page = frame * PAGE_SIZE;
    if (!this.#source.contains(page, PAGE_SIZE)) return false;
    this.#tags[slot] = EMPTY;
    this.#source.read(page, this.#bytes.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE));
    this.#tags[slot] = frame;
    return true;
  }

  /** A word of a page that the image has only in part. */
  #uncached(address: number, length: 1 | 2 | 4): number {
    const word = this.#word.fill(0);
    this.#source.read(address, word.subarray(0, length));
    const [first = 0, second = 0, third = 0, fourth = 0] = word;
    return (first | (second << 8) | (third << 16) | (fourth << 24)) >>> 0;
  }

  #copy(address: number, target: Uint8Array): void {
    const at = this.#locate(address);
    if (at < 0) this.#source.read(address, target);
    else target.set(this.#bytes.subarray(at, at + target.length));
  }
}

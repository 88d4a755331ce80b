import type { MemoryWindow } from './object-window.ts';
import {
  type PhysicalMemory,
  PhysicalMemoryError,
  type PhysicalRange,
  type WritablePhysicalMemory,
} from './physical-memory.ts';

const PAGE_SIZE = 4096;
/** Slots of a cache unless told otherwise: 32 MiB of guest memory. */
const DEFAULT_SLOTS = 8192;
const OFFSET_MASK = PAGE_SIZE - 1;
/** The page number of an empty slot: unequal to every number, itself included. */
const EMPTY = Number.NaN;

/**
 * Keeps the pages read last from memory that is slow word by word. Direct-mapped: page number modulo the number
 * of slots; memory used is 4 KiB a slot and no more. A page that is not RAM as a whole counts as absent. Pages stay until {@link PageCache.invalidate}: right for
 * memory that does not change; {@link LivePageCache} is for memory that does.
 */
export class PageCache implements PhysicalMemory {
  /** Counts the pages that were brought in, each perhaps in place of another, and when all were forgotten. */
  generation = 0;
  protected readonly source: PhysicalMemory;
  readonly #mask: number;
  /** The page number that each slot holds. */
  readonly #pages: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #words: Uint32Array;

  /**
   * @param source where pages come from; disposed of together with the cache
   * @param slots pages kept at most, a power of two
   */
  constructor(source: PhysicalMemory, slots = DEFAULT_SLOTS) {
    if (!Number.isInteger(Math.log2(slots))) throw new RangeError(`${slots} slots are not a power of two`);
    this.source = source;
    this.#mask = slots - 1;
    this.#pages = new Float64Array(slots).fill(EMPTY);
    this.#bytes = new Uint8Array(slots * PAGE_SIZE);
    this.#view = new DataView(this.#bytes.buffer);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }

  get ranges(): readonly PhysicalRange[] {
    return this.source.ranges;
  }

  get populated(): readonly PhysicalRange[] | undefined {
    return this.source.populated;
  }

  u8(address: number): number {
    return this.#view.getUint8(this.#locate(address));
  }

  u16(address: number): number {
    if ((address & OFFSET_MASK) > PAGE_SIZE - 2) return this.source.u16(address);
    return this.#view.getUint16(this.#locate(address), true);
  }

  u32(address: number): number {
    if ((address & OFFSET_MASK) > PAGE_SIZE - 4) return this.source.u32(address);
    return this.#view.getUint32(this.#locate(address), true);
  }

  /** Reads of up to a page go through the cache; longer ones go round it, so that a scan does not empty it. */
  read(address: number, target: Uint8Array): void {
    const fromPage = PAGE_SIZE - (address & OFFSET_MASK);
    if (target.length > fromPage) {
      this.source.read(address, target);
      return;
    }
    const at = this.#locate(address);
    target.set(this.#bytes.subarray(at, at + target.length));
  }

  contains(address: number, length: number): boolean {
    return this.source.contains(address, length);
  }

  window(address: number, length: number, into: MemoryWindow): boolean {
    if ((address & OFFSET_MASK) > PAGE_SIZE - length) return false;
    const page = Math.floor(address / PAGE_SIZE);
    const slot = page & this.#mask;
    if (this.#pages[slot] !== page) {
      if (!this.source.contains(page * PAGE_SIZE, PAGE_SIZE)) return false;
      this.#fill(slot, page, address);
    }
    into.words = this.#words;
    into.first = slot * (PAGE_SIZE / 4);
    into.start = page * PAGE_SIZE;
    into.end = into.start + PAGE_SIZE;
    into.generation = this.generation;
    return true;
  }

  /** Forgets every page. */
  invalidate(): void {
    this.generation++;
    this.#pages.fill(EMPTY);
  }

  [Symbol.dispose](): void {
    this.invalidate();
    this.source[Symbol.dispose]();
  }

  /** Called when a page was brought in. */
  protected filled(): void {}

  /** Replaces what the cache holds of `[address, address + bytes.length)`. */
  protected overwrite(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const page = Math.floor((address + done) / PAGE_SIZE);
      const offset = address + done - page * PAGE_SIZE;
      const length = Math.min(bytes.length - done, PAGE_SIZE - offset);
      const slot = page & this.#mask;
      if (this.#pages[slot] === page)
        this.#bytes.set(bytes.subarray(done, done + length), slot * PAGE_SIZE + offset);
      done += length;
    }
  }

  /** Where in the cache's bytes the byte at `address` is, its page brought in first if need be. */
  #locate(address: number): number {
    const page = Math.floor(address / PAGE_SIZE);
    const slot = page & this.#mask;
    if (this.#pages[slot] !== page) this.#fill(slot, page, address);
    return slot * PAGE_SIZE + (address & OFFSET_MASK);
  }

  #fill(slot: number, page: number, address: number): void {
    this.generation++;
    this.#pages[slot] = EMPTY;
    if (!this.source.contains(address, 1)) throw new PhysicalMemoryError(address);
    this.source.read(page * PAGE_SIZE, this.#bytes.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE));
    this.#pages[slot] = page;
    this.filled();
  }
}

/**
 * A cache over the memory of a running guest: pages are kept while synchronous code runs and forgotten when it
 * returns to the event loop, so that a walk reads each page once and the next walk sees the guest as it is then.
 * Writes go through.
 */
export class LivePageCache extends PageCache implements WritablePhysicalMemory {
  readonly #writable: WritablePhysicalMemory;
  #expiring = false;

  constructor(source: WritablePhysicalMemory, slots?: number) {
    super(source, slots);
    this.#writable = source;
  }

  write(address: number, bytes: Uint8Array): void {
    this.#writable.write(address, bytes);
    this.overwrite(address, bytes);
  }

  protected override filled(): void {
    if (this.#expiring) return;
    this.#expiring = true;
    queueMicrotask(() => {
      this.#expiring = false;
      this.invalidate();
    });
  }
}

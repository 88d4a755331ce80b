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
/** No page's number: unequal to every number, itself included. */
const NONE = Number.NaN;

/**
 * Keeps pages of memory that is slow word by word: as many as there are slots, then each new one in place of the oldest.
 * Memory is used as slots are. A page that is not RAM as a whole counts as absent. Pages stay until {@link PageCache.invalidate}: right for
 * memory that does not change; {@link LivePageCache} is for memory that does.
 */
export class PageCache implements PhysicalMemory {
  /** Counts the pages that were brought in, each perhaps in place of another, and when all were forgotten. */
  generation = 0;
  protected readonly source: PhysicalMemory;
  readonly #slots: number;
  /** The slot of each page that is kept. */
  readonly #slotOf = new Map<number, number>();
  /** The page number that each slot holds. */
  readonly #pages: Float64Array;
  /** The slot that is filled next, and how many were filled since the last time that all was forgotten. */
  #next = 0;
  #used = 0;
  /** The page of the latest access; nearly always that of the next one. */
  #recentPage = NONE;
  #recentSlot = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #words: Uint32Array;

  /**
   * @param source where pages come from; disposed of together with the cache
   * @param slots pages kept at most
   */
  constructor(source: PhysicalMemory, slots = DEFAULT_SLOTS) {
    if (!(Number.isInteger(slots) && slots > 0)) throw new RangeError(`a cache cannot have ${slots} slots`);
    this.source = source;
    this.#slots = slots;
    this.#pages = new Float64Array(slots).fill(NONE);
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
    let slot = this.#slotOf.get(page);
    if (slot === undefined) {
      if (!this.source.contains(page * PAGE_SIZE, PAGE_SIZE)) return false;
      slot = this.#fill(page, address);
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
    this.#slotOf.clear();
    this.#pages.fill(NONE, 0, this.#used);
    this.#used = 0;
    this.#next = 0;
    this.#recentPage = NONE;
  }

  [Symbol.dispose](): void {
    this.invalidate();
    this.source[Symbol.dispose]();
  }

  /** Fills `target`, which lies within a page, if that page is kept. */
  protected readKept(address: number, target: Uint8Array): boolean {
    const slot = this.#slotOf.get(Math.floor(address / PAGE_SIZE));
    if (slot === undefined) return false;
    const at = slot * PAGE_SIZE + (address & OFFSET_MASK);
    target.set(this.#bytes.subarray(at, at + target.length));
    return true;
  }

  /** Called when a page was brought in. */
  protected filled(): void {}

  /** Replaces what the cache holds of `[address, address + bytes.length)`. */
  protected overwrite(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const page = Math.floor((address + done) / PAGE_SIZE);
      const offset = address + done - page * PAGE_SIZE;
      const length = Math.min(bytes.length - done, PAGE_SIZE - offset);
      const slot = this.#slotOf.get(page);
      if (slot !== undefined) this.#bytes.set(bytes.subarray(done, done + length), slot * PAGE_SIZE + offset);
      done += length;
    }
  }

  /** Where in the cache's bytes the byte at `address` is, its page brought in first if need be. */
  #locate(address: number): number {
    const page = Math.floor(address / PAGE_SIZE);
    if (page !== this.#recentPage) {
      this.#recentSlot = this.#slotOf.get(page) ?? this.#fill(page, address);
      this.#recentPage = page;
    }
    return this.#recentSlot * PAGE_SIZE + (address & OFFSET_MASK);
  }

  /** Brings a page in and returns its slot: the next one that was not used yet, else that of the oldest page. */
  #fill(page: number, address: number): number {
    this.generation++;
    this.#recentPage = NONE;
    if (!this.source.contains(address, 1)) throw new PhysicalMemoryError(address);
    const slot = this.#next;
    this.#slotOf.delete(this.#pages[slot] ?? NONE);
    this.#pages[slot] = NONE;
    this.source.read(page * PAGE_SIZE, this.#bytes.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE));
    this.#pages[slot] = page;
    this.#slotOf.set(page, slot);
    this.#next = (slot + 1) % this.#slots;
    this.#used = Math.max(this.#used, slot + 1);
    this.filled();
    return slot;
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

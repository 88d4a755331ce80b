import { gvaOfWords } from '../../../memory/address.ts';
import { EmulationStop } from '../stop.ts';
import { CODE_ADDRESS, fourfold, WRITTEN } from './marks.ts';
import { PageSlab } from './page-slab.ts';
import { type MemorySnapshot, PAGE_SIZE, pageNumber } from './snapshot.ts';

const TLB_ENTRIES = 256;
const OFFSET = PAGE_SIZE - 1;

/** Hears of stores into pages that code was decoded from. */
export interface CodeObserver {
  /** `length` bytes from a slab offset on are about to change; they lie in one page. */
  codeWritten(offset: number, length: number): void;
}

/**
 * The memory that emulated code sees: pages are copied from a snapshot when first touched, stores change the
 * copies. 64-bit values are pairs of 32-bit words; a function that yields one returns the low word and leaves
 * the high word in `highWord`. A touch of what cannot be read ends the run with the address.
 */
export class AddressSpace {
  readonly slab: PageSlab;
  highWord = 0;
  /** Slab offset of the last load that took an address of the code itself; -1 when there was none. */
  codeAddressAt = -1;
  /** The mark that stores leave on each byte, four bytes wide. */
  storeMark = fourfold(WRITTEN);
  observer: CodeObserver | undefined;

  readonly #tlbHigh = new Int32Array(TLB_ENTRIES);
  readonly #tlbLow = new Int32Array(TLB_ENTRIES);
  readonly #tlbBase = new Int32Array(TLB_ENTRIES);
  readonly #pages = new Map<number, number>();
  readonly #mapped: { first: number; end: number }[] = [];
  #snapshot: MemorySnapshot;

  /** @param maximumPages how many pages a run may touch before it ends */
  constructor(snapshot: MemorySnapshot, maximumPages: number) {
    this.#snapshot = snapshot;
    this.slab = new PageSlab(maximumPages);
    this.#tlbLow.fill(-1);
  }

  /** Forgets every page, and stands on another snapshot. */
  reset(snapshot: MemorySnapshot): void {
    this.#snapshot = snapshot;
    this.slab.reset();
    this.#tlbLow.fill(-1);
    this.#pages.clear();
    this.#mapped.length = 0;
    this.codeAddressAt = -1;
    this.storeMark = fourfold(WRITTEN);
  }

  /** Makes pages readable as zeroes, where the snapshot has nothing: what mmap and a growing stack do. */
  map(firstPage: number, count: number): void {
    this.#mapped.push({ first: firstPage, end: firstPage + count });
  }

  /** The slab offset of the page that holds an address; ends the run where nothing can be read. */
  lookup(high: number, low: number, access: 'read' | 'write' | 'fetch'): number {
    const slot = (low >>> 12) & (TLB_ENTRIES - 1);
    if (this.#tlbLow[slot] === (low & ~OFFSET) && this.#tlbHigh[slot] === (high | 0)) {
      return this.#tlbBase[slot] ?? 0;
    }
    const base = this.#touch(high, low);
    if (base < 0) throw new EmulationStop({ kind: 'memory', access, address: gvaOfWords(high, low) });
    return base;
  }

  /** Whether the byte at an address can be read. */
  readable(high: number, low: number): boolean {
    return this.#touch(high, low) >= 0;
  }

  /** The slab offset of a byte, or -1 where nothing can be read; never ends the run. */
  find(high: number, low: number): number {
    const base = this.#touch(high, low);
    return base < 0 ? -1 : base + (low & OFFSET);
  }

  #touch(high: number, low: number): number {
    const number = pageNumber(high, low);
    let base = this.#pages.get(number);
    if (base === undefined) {
      const bytes = this.#snapshot.readPage(high >>> 0, (low & ~OFFSET) >>> 0);
      if (bytes === undefined && !this.#mapped.some(({ first, end }) => number >= first && number < end)) {
        return -1;
      }
      base = this.slab.allocate(bytes, number);
      this.#pages.set(number, base);
    }
    const slot = (low >>> 12) & (TLB_ENTRIES - 1);
    this.#tlbLow[slot] = low & ~OFFSET;
    this.#tlbHigh[slot] = high | 0;
    this.#tlbBase[slot] = base;
    return base;
  }

  load8(high: number, low: number): number {
    return this.slab.bytes[this.lookup(high, low, 'read') + (low & OFFSET)] ?? 0;
  }

  load16(high: number, low: number): number {
    if ((low & OFFSET) === OFFSET) return this.load8(high, low) | (this.#nextByte(high, low, 1) << 8);
    return this.slab.view.getUint16(this.lookup(high, low, 'read') + (low & OFFSET), true);
  }

  /** A signed word. */
  load32(high: number, low: number): number {
    if ((low & OFFSET) > PAGE_SIZE - 4) return this.#loadAcrossPages(high, low);
    const at = this.lookup(high, low, 'read') + (low & OFFSET);
    if (((this.slab.marks[at] ?? 0) & CODE_ADDRESS) !== 0) this.codeAddressAt = at;
    return this.slab.view.getInt32(at, true);
  }

  /** The low word; the high word in `highWord`. */
  load64(high: number, low: number): number {
    const first = this.load32(high, low);
    const nextLow = (low + 4) | 0;
    const codeAddressAt = this.codeAddressAt;
    this.highWord = this.load32(nextLow >= 0 && low < 0 ? (high + 1) | 0 : high, nextLow);
    this.codeAddressAt = codeAddressAt;
    return first;
  }

  store8(high: number, low: number, value: number): void {
    const base = this.lookup(high, low, 'write');
    const at = base + (low & OFFSET);
    if (this.slab.holdsCode(base)) this.observer?.codeWritten(at, 1);
    this.slab.setWritten(base);
    this.slab.bytes[at] = value;
    this.slab.marks[at] = this.storeMark & 0xff;
  }

  store16(high: number, low: number, value: number): void {
    this.store8(high, low, value);
    const next = (low + 1) | 0;
    this.store8(next === 0 ? (high + 1) | 0 : high, next, value >>> 8);
  }

  store32(high: number, low: number, value: number): void {
    if ((low & OFFSET) > PAGE_SIZE - 4) {
      this.#storeAcrossPages(high, low, value);
      return;
    }
    const base = this.lookup(high, low, 'write');
    const at = base + (low & OFFSET);
    if (this.slab.holdsCode(base)) this.observer?.codeWritten(at, 4);
    this.slab.setWritten(base);
    this.slab.view.setInt32(at, value, true);
    this.slab.markView.setInt32(at, this.storeMark, true);
  }

  store64(high: number, low: number, valueLow: number, valueHigh: number): void {
    this.store32(high, low, valueLow);
    const next = (low + 4) | 0;
    this.store32(next >= 0 && low < 0 ? (high + 1) | 0 : high, next, valueHigh);
  }

  /** Copies bytes out, stopping early where nothing can be read; never ends the run. */
  peek(high: number, low: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const next = (low + done) | 0;
      const at = this.find(next >= 0 && low < 0 ? (high + 1) | 0 : high, next);
      if (at < 0) return bytes.subarray(0, done);
      const part = Math.min(length - done, PAGE_SIZE - (at & OFFSET));
      bytes.set(this.slab.bytes.subarray(at, at + part), done);
      done += part;
    }
    return bytes;
  }

  /** Stores bytes as a system call would: what cannot be written is left out and the count of the rest returned. */
  poke(high: number, low: number, bytes: Uint8Array, mark = WRITTEN): number {
    let done = 0;
    while (done < bytes.length) {
      const next = (low + done) | 0;
      const at = this.find(next >= 0 && low < 0 ? (high + 1) | 0 : high, next);
      if (at < 0) break;
      const length = Math.min(bytes.length - done, PAGE_SIZE - (at & OFFSET));
      const base = at & ~OFFSET;
      if (this.slab.holdsCode(base)) this.observer?.codeWritten(at, length);
      this.slab.setWritten(base);
      this.slab.bytes.set(bytes.subarray(done, done + length), at);
      this.slab.marks.fill(mark, at, at + length);
      done += length;
    }
    return done;
  }

  #nextByte(high: number, low: number, distance: number): number {
    const next = (low + distance) | 0;
    return this.load8(next >= 0 && low < 0 ? (high + 1) | 0 : high, next);
  }

  #loadAcrossPages(high: number, low: number): number {
    let value = 0;
    for (let i = 0; i < 4; i++) value |= this.#nextByte(high, low, i) << (8 * i);
    return value;
  }

  #storeAcrossPages(high: number, low: number, value: number): void {
    for (let i = 0; i < 4; i++) {
      const next = (low + i) | 0;
      this.store8(next >= 0 && low < 0 ? (high + 1) | 0 : high, next, value >>> (8 * i));
    }
  }
}

/** Bytes in a page of every address space here; larger guest pages are asked for 4 KiB at a time. */
export const PAGE_SIZE = 4096;

/**
 * Where an emulation gets memory from: a file's bytes, an image or a live guest. It is only read; what the
 * emulated code writes stays in the {@link AddressSpace} that stands on it.
 */
export interface MemorySnapshot {
  /**
   * The 4 KiB at a page-aligned virtual address, given as unsigned 32-bit words; undefined where nothing can be
   * read. The bytes are copied before the next call, so that an implementation may reuse one buffer.
   */
  readPage(high: number, low: number): Uint8Array | undefined;
}

/** The number of the page that holds an address: its upper 52 bits, exact in a number. */
export function pageNumber(high: number, low: number): number {
  return (high >>> 0) * 0x10_0000 + (low >>> 12);
}

/** Nothing can be read: an emulation then sees only what was mapped into its address space. */
export const EMPTY_SNAPSHOT: MemorySnapshot = { readPage: () => undefined };

/** Several snapshots, the first that has a page gives it. */
export function layered(...snapshots: readonly MemorySnapshot[]): MemorySnapshot {
  return {
    readPage(high, low) {
      for (const snapshot of snapshots) {
        const page = snapshot.readPage(high, low);
        if (page !== undefined) return page;
      }
      return undefined;
    },
  };
}

/**
 * Bytes that lie at a virtual address, zero-filled to whole pages at both ends.
 */
export class BytesSnapshot implements MemorySnapshot {
  readonly #address: number;
  readonly #bytes: Uint8Array;
  #page: Uint8Array | undefined;

  /** @param address virtual address of the first byte, below 2^53 */
  constructor(address: number, bytes: Uint8Array) {
    this.#address = address;
    this.#bytes = bytes;
  }

  readPage(high: number, low: number): Uint8Array | undefined {
    const from = pageNumber(high, low) * PAGE_SIZE - this.#address;
    if (from <= -PAGE_SIZE || from >= this.#bytes.length) return undefined;
    if (from >= 0 && from + PAGE_SIZE <= this.#bytes.length)
      return this.#bytes.subarray(from, from + PAGE_SIZE);
    this.#page ??= new Uint8Array(PAGE_SIZE);
    const page = this.#page.fill(0);
    page.set(this.#bytes.subarray(Math.max(from, 0), from + PAGE_SIZE), Math.max(-from, 0));
    return page;
  }
}

const ZEROES = new Uint8Array(PAGE_SIZE);

/** Pages of zeroes: a fresh stack. Addresses are virtual, multiples of 4096 and below 2^53, the end exclusive. */
export class ZeroSnapshot implements MemorySnapshot {
  readonly #first: number;
  readonly #end: number;

  constructor(start: number, end: number) {
    this.#first = start / PAGE_SIZE;
    this.#end = end / PAGE_SIZE;
  }

  readPage(high: number, low: number): Uint8Array | undefined {
    const number = pageNumber(high, low);
    return number >= this.#first && number < this.#end ? ZEROES : undefined;
  }
}

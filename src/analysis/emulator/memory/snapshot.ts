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
 *
 * @param address virtual address of the first byte, below 2^53
 */
export class BytesSnapshot implements MemorySnapshot {
  readonly #pages = new Map<number, Uint8Array>();

  constructor(address: number, bytes: Uint8Array) {
    const end = address + bytes.length;
    for (let start = address - (address % PAGE_SIZE); start < end; start += PAGE_SIZE) {
      const page = new Uint8Array(PAGE_SIZE);
      const from = Math.max(start, address);
      page.set(bytes.subarray(from - address, start + PAGE_SIZE - address), from - start);
      this.#pages.set(start / PAGE_SIZE, page);
    }
  }

  readPage(high: number, low: number): Uint8Array | undefined {
    return this.#pages.get(pageNumber(high, low));
  }
}

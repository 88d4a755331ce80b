import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';

/** Bytes in a page frame: the unit of every format that stores pages. */
export const PAGE_SIZE = 4096;

/** Guest-physical addresses end here (2^44, 16 TiB): bitmaps and tables for more would not be those of a machine. */
export const ADDRESS_LIMIT = 2 ** 44;

/** A source names at most this many ranges: forged tables could name more than fit in memory. */
export const MAXIMUM_RANGES = 2 ** 20;

/** Guest-physical memory as one format stores it: slow, exact, without a cache. */
export interface PageSource {
  /** Where the image has memory, ascending and not overlapping. */
  readonly ranges: readonly PhysicalRange[];
  /** Whether a page costs much more than its bytes, so that none should be read twice. */
  readonly compressed?: boolean;
  /** See {@link PhysicalMemory.populated}. */
  readonly populated?: readonly PhysicalRange[] | undefined;
  /** Whether the image has all of `[address, address + length)`. */
  contains(address: number, length: number): boolean;
  /** Fills `target`; throws a PhysicalMemoryError at the first address that the image lacks or cannot give. */
  read(address: number, target: Uint8Array): void;
}

/** Fills one page-sized target from the page that starts at `page` (a guest-physical address). */
export type PageReader = (page: number, target: Uint8Array) => void;

/** Reads any run of bytes from a format that can only give whole pages. */
export function readByPages(
  address: number,
  target: Uint8Array,
  scratch: Uint8Array,
  readPage: PageReader,
): void {
  for (let done = 0; done < target.length; ) {
    const at = address + done;
    const offset = at % PAGE_SIZE;
    const length = Math.min(PAGE_SIZE - offset, target.length - done);
    if (length === PAGE_SIZE) {
      readPage(at, target.subarray(done, done + PAGE_SIZE));
    } else {
      readPage(at - offset, scratch);
      target.set(scratch.subarray(offset, offset + length), done);
    }
    done += length;
  }
}

/** The error for memory that the image should hold and does not give. */
export function damaged(address: number, what: string): PhysicalMemoryError {
  return new PhysicalMemoryError(
    address,
    `guest-physical address 0x${address.toString(16)} is unreadable: ${what}`,
  );
}

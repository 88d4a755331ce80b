import { UnderwatchError } from '../errors.ts';
import { type GuestVirtualAddress, gvaOfWords, hex, highWord, lowWord } from '../memory/address.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { PAGE_SIZE, type PageTables } from '../x86/page-tables.ts';

const WORD = 2 ** 32;
/** No single read is longer: what asks for more was led there by a broken length. */
const MAX_READ = 64 * 1024 * 1024;

/** A kernel address that cannot be read: not mapped, or mapped to what is not RAM. */
export class KernelMemoryError extends UnderwatchError {
  readonly address: GuestVirtualAddress;

  constructor(address: GuestVirtualAddress, message = `kernel address ${hex(address)} (GVA) is not mapped`) {
    super('unreadable', message);
    this.address = address;
  }
}

/** A run of kernel addresses whose physical addresses follow by subtraction. */
export interface LinearMapping {
  readonly virtualStart: GuestVirtualAddress;
  readonly physicalStart: number;
  /** In bytes. */
  readonly size: number;
}

/** A linear mapping in the words that `locate` compares. */
interface LinearWords {
  readonly high: number;
  readonly low: number;
  readonly physical: number;
  readonly size: number;
}

/**
 * The kernel's half of the address space.
 *
 * Objects in the direct map (all that slab and page allocators hand out) and in the kernel image are
 * physically contiguous: locate them once and read their fields at physical addresses. Those in vmalloc
 * space (kernel stacks, modules, large tables) are contiguous within a page only.
 */
export class KernelMemory {
  readonly physical: PhysicalMemory;
  readonly pageTables: PageTables;
  readonly image: LinearMapping;
  /** All of RAM, mapped linearly; none until its base is known. */
  readonly directMap: LinearMapping | undefined;
  readonly #image: LinearWords;
  readonly #directMap: LinearWords;
  /** Guest-physical address of a page that is RAM. */
  #recentPage = Number.POSITIVE_INFINITY;

  constructor(
    physical: PhysicalMemory,
    pageTables: PageTables,
    image: LinearMapping,
    directMap?: LinearMapping,
  ) {
    this.physical = physical;
    this.pageTables = pageTables;
    this.image = image;
    this.directMap = directMap;
    this.#image = toWords(image);
    this.#directMap =
      directMap === undefined ? { high: 0, low: 0, physical: 0, size: 0 } : toWords(directMap);
  }

  /** The guest-physical address of a kernel address (its two 32-bit words); throws when it is not mapped. */
  locate(high: number, low: number): number {
    const physical = this.tryLocate(high, low);
    if (physical < 0) throw new KernelMemoryError(gvaOfWords(high, low));
    return physical;
  }

  /** As {@link locate}, but -1 when the address is not mapped to RAM. */
  tryLocate(high: number, low: number): number {
    const direct = inLinear(this.#directMap, high, low);
    if (direct >= 0 && this.#isRam(direct)) return direct;
    const image = inLinear(this.#image, high, low);
    if (image >= 0) return image;
    const walked = this.pageTables.translate(high, low);
    return walked >= 0 && this.physical.contains(walked, 1) ? walked : -1;
  }

  /** Whether RAM stands behind an address; of the page that was asked for last it is known. */
  #isRam(physical: number): boolean {
    if (physical >= this.#recentPage && physical < this.#recentPage + PAGE_SIZE) return true;
    if (!this.physical.contains(physical, 1)) return false;
    this.#recentPage = physical - (physical % PAGE_SIZE);
    return true;
  }

  /** As {@link locate}, for an address at the API's edge. */
  locateAddress(address: GuestVirtualAddress): number {
    return this.locate(highWord(address), lowWord(address));
  }

  /** Fills `target` from a kernel address on; throws at the first page that is not there. */
  read(address: GuestVirtualAddress, target: Uint8Array): void {
    let high = highWord(address);
    let low = lowWord(address);
    const image = inLinear(this.#image, high, low);
    if (image >= 0 && image + target.length <= this.#image.physical + this.#image.size) {
      this.physical.read(image, target);
      return;
    }
    for (let done = 0; done < target.length; ) {
      const piece = Math.min(target.length - done, PAGE_SIZE - (low % PAGE_SIZE));
      this.physical.read(this.locate(high, low), target.subarray(done, done + piece));
      done += piece;
      if (low + piece >= WORD) high = (high + 1) >>> 0;
      low = (low + piece) >>> 0;
    }
  }

  /** Copies bytes out of the guest: at most 64 MiB. */
  readBytes(address: GuestVirtualAddress, length: number): Uint8Array {
    if (!(length >= 0 && length <= MAX_READ)) {
      throw new UnderwatchError(
        'limit',
        `a read of ${length} bytes at ${hex(address)} (GVA) is out of bounds`,
      );
    }
    const bytes = new Uint8Array(length);
    this.read(address, bytes);
    return bytes;
  }

  /** Four bytes, unsigned. */
  readU32(address: GuestVirtualAddress): number {
    this.read(address, WORDS_AS_BYTES.subarray(0, 4));
    return WORDS.getUint32(0, true);
  }

  /** Eight bytes, unsigned. */
  readU64(address: GuestVirtualAddress): bigint {
    this.read(address, WORDS_AS_BYTES);
    return WORDS.getBigUint64(0, true);
  }

  /** Text up to its NUL, at most `max` bytes (a string that is cut there is returned as far as it was read). */
  readCString(address: GuestVirtualAddress, max: number): string {
    const bytes = Buffer.alloc(Math.min(max, MAX_READ));
    let length = 0;
    while (length < bytes.length) {
      const at = (address + BigInt(length)) as GuestVirtualAddress;
      const piece = bytes.subarray(length, length + PAGE_SIZE - (Number(lowWord(at)) % PAGE_SIZE));
      this.read(at, piece);
      const end = piece.indexOf(0);
      if (end >= 0) return bytes.toString('utf8', 0, length + end);
      length += piece.length;
    }
    return bytes.toString('utf8');
  }
}

const WORDS_AS_BYTES = new Uint8Array(8);
const WORDS = new DataView(WORDS_AS_BYTES.buffer);

function toWords(mapping: LinearMapping): LinearWords {
  return {
    high: highWord(mapping.virtualStart),
    low: lowWord(mapping.virtualStart),
    physical: mapping.physicalStart,
    size: mapping.size,
  };
}

/** Where an address is in a linear mapping, or -1. Differences above 2^53 round, and stay above any size. */
function inLinear(mapping: LinearWords, high: number, low: number): number {
  const offset = (high - mapping.high) * WORD + (low - mapping.low);
  return offset >= 0 && offset < mapping.size ? mapping.physical + offset : -1;
}

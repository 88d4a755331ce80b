import { type PhysicalMemory, PhysicalMemoryError } from '../memory/physical-memory.ts';
import type { PageWalk } from './page-walk.ts';
import {
  PTE_FRAME_HIGH,
  PTE_FRAME_LOW,
  PTE_HIGH_NO_EXECUTE,
  PTE_LARGE,
  PTE_PRESENT,
  PTE_PROT_NONE,
  PTE_USER,
  PTE_WRITABLE,
} from './pte.ts';

/** Bytes in the smallest page. */
export const PAGE_SIZE = 4096;
const TWO_MIB = 0x20_0000;
const ONE_GIB = 0x4000_0000;
const WORD = 2 ** 32;
/** Address bits 13 to 20 of a 2 MiB page's entry and 13 to 29 of a 1 GiB page's are reserved (SDM table 4-18, 4-16). */
const RESERVED_2M = 0x001f_e000;
const RESERVED_1G = 0x3fff_e000;

/** How many levels the page tables have: CR4.LA57 tells. */
export type PagingLevels = 4 | 5;

/** Translates addresses; what {@link PageTables} and a cache of it have in common. */
export interface AddressTranslator {
  /** The guest-physical address behind a guest-virtual one (its two 32-bit words), or -1. */
  translate(high: number, low: number): number;
}

/**
 * The page tables below one root, read from guest-physical memory as the CPU would (Intel SDM vol. 3A 4.5).
 *
 * Nothing is cached. On a live guest an entry that changes while its two words are read may be seen torn.
 */
export class PageTables implements AddressTranslator {
  readonly memory: PhysicalMemory;
  /** Guest-physical address of the root table. */
  readonly root: number;
  readonly levels: PagingLevels;
  /** Whether EFER.NXE is set: where it is not, bit 63 of an entry is reserved. */
  readonly noExecuteEnabled: boolean;

  constructor(memory: PhysicalMemory, root: number, levels: PagingLevels, noExecuteEnabled = true) {
    this.memory = memory;
    this.root = root;
    this.levels = levels;
    this.noExecuteEnabled = noExecuteEnabled;
  }

  /**
   * The guest-physical address behind a guest-virtual one, or -1 when it is not mapped: non-canonical, an
   * entry not present or with reserved bits, or a table outside RAM. Whether RAM stands behind the answer
   * is not looked at (it may be a device). Allocates nothing.
   */
  translate(high: number, low: number): number {
    if (!this.isCanonical(high)) return -1;
    try {
      return this.#descend(high, low);
    } catch (error) {
      if (error instanceof PhysicalMemoryError) return -1;
      throw error;
    }
  }

  /** Walks to the entry that maps an address, or to the one that does not, and says all about it. */
  walk(high: number, low: number, into: PageWalk): void {
    into.clear();
    if (!this.isCanonical(high)) {
      into.fail('non-canonical');
      return;
    }
    try {
      this.#walkDown(high, low, into);
    } catch (error) {
      if (!(error instanceof PhysicalMemoryError)) throw error;
      into.fail('absent');
    }
  }

  /** Whether an address with this upper word can be translated at all (SDM vol. 1, 3.3.7.1). */
  isCanonical(high: number): boolean {
    if (this.levels === 5) {
      const sign = high >>> 24;
      return sign === 0 || sign === 0xff;
    }
    const sign = high >>> 15;
    return sign === 0 || sign === 0x1_ffff;
  }

  #descend(high: number, low: number): number {
    let table = this.root;
    for (let level: number = this.levels; level > 0; level--) {
      const entry = table + tableIndex(level, high, low) * 8;
      const entryLow = this.memory.u32(entry);
      if ((entryLow & PTE_PRESENT) === 0) return -1;
      const entryHigh = this.memory.u32(entry + 4);
      if (this.#isReserved(level, entryHigh, entryLow)) return -1;
      if (isLeaf(level, entryLow)) return leafAddress(level, entryHigh, entryLow, low);
      table = frameAddress(entryHigh, entryLow);
    }
    return -1;
  }

  #walkDown(high: number, low: number, into: PageWalk): void {
    let table = this.root;
    for (let level: number = this.levels; level > 0; level--) {
      into.level = level;
      into.entryAddress = table + tableIndex(level, high, low) * 8;
      into.entryLow = this.memory.u32(into.entryAddress);
      into.entryHigh = this.memory.u32(into.entryAddress + 4);
      if ((into.entryLow & PTE_PRESENT) === 0) {
        into.fail(isProtNone(level, into.entryLow) ? 'prot-none' : 'not-present');
        return;
      }
      if (this.#isReserved(level, into.entryHigh, into.entryLow)) {
        into.fail('reserved');
        return;
      }
      this.#accumulate(level, into);
      if (isLeaf(level, into.entryLow)) {
        into.outcome = 'mapped';
        into.pageSize = pageSize(level);
        into.physical = leafAddress(level, into.entryHigh, into.entryLow, low);
        return;
      }
      table = frameAddress(into.entryHigh, into.entryLow);
    }
  }

  #accumulate(level: number, into: PageWalk): void {
    if ((into.entryLow & PTE_WRITABLE) === 0) into.writable = false;
    if ((into.entryLow & PTE_USER) === 0) into.user = false;
    if ((into.entryHigh & PTE_HIGH_NO_EXECUTE) === 0) return;
    into.noExecute = true;
    if (level !== this.levels) into.noExecuteBelowRoot = true;
  }

  #isReserved(level: number, high: number, low: number): boolean {
    if (!this.noExecuteEnabled && (high & PTE_HIGH_NO_EXECUTE) !== 0) return true;
    if ((low & PTE_LARGE) === 0 || level === 1) return false;
    if (level === 2) return (low & RESERVED_2M) !== 0;
    if (level === 3) return (low & RESERVED_1G) !== 0;
    return true;
  }
}

/** The place in its table of the entry that an address uses at a level (1 to 5). */
export function tableIndex(level: number, high: number, low: number): number {
  switch (level) {
    case 1:
      return (low >>> 12) & 0x1ff;
    case 2:
      return (low >>> 21) & 0x1ff;
    case 3:
      return ((high << 2) | (low >>> 30)) & 0x1ff;
    case 4:
      return (high >>> 7) & 0x1ff;
    default:
      return (high >>> 16) & 0x1ff;
  }
}

/** The guest-physical address of the table or 4 KiB page that an entry points to. */
export function frameAddress(high: number, low: number): number {
  return (high & PTE_FRAME_HIGH) * WORD + ((low & PTE_FRAME_LOW) >>> 0);
}

function isLeaf(level: number, low: number): boolean {
  return level === 1 || (low & PTE_LARGE) !== 0;
}

function pageSize(level: number): number {
  if (level === 1) return PAGE_SIZE;
  return level === 2 ? TWO_MIB : ONE_GIB;
}

function leafAddress(level: number, high: number, entryLow: number, low: number): number {
  const offsetMask = pageSize(level) - 1;
  return (high & PTE_FRAME_HIGH) * WORD + (((entryLow & ~offsetMask) | (low & offsetMask)) >>> 0);
}

/** Linux keeps PROT_NONE pages by this bit, in page tables and, with the large-page bit, in directories. */
function isProtNone(level: number, low: number): boolean {
  if ((low & PTE_PROT_NONE) === 0) return false;
  return level === 1 || (level === 2 && (low & PTE_LARGE) !== 0);
}

import type { AddressTranslator, PageTables } from './page-tables.ts';

const PAGE_SHIFT = 12;
const PAGE_MASK = 0xfff;
const DEFAULT_SLOTS = 4096;

/**
 * A direct-mapped cache of translations, one slot a 4 KiB page, for walks over memory that does not change
 * (an image, a stopped machine) or for as long as a stale answer does no harm. Only what is mapped is kept.
 */
export class TranslationCache implements AddressTranslator {
  readonly #tables: PageTables;
  readonly #mask: number;
  /** The page's number, split: bits 32 to 63 of the address, and bits 12 to 31 with bit 0 for "filled". */
  readonly #highs: Uint32Array;
  readonly #lows: Uint32Array;
  /** Guest-physical address of the page. */
  readonly #pages: Float64Array;

  /** @param slots a power of two */
  constructor(tables: PageTables, slots: number = DEFAULT_SLOTS) {
    if (slots < 1 || (slots & (slots - 1)) !== 0) throw new RangeError(`${slots} is not a power of two`);
    this.#tables = tables;
    this.#mask = slots - 1;
    this.#highs = new Uint32Array(slots);
    this.#lows = new Uint32Array(slots);
    this.#pages = new Float64Array(slots);
  }

  /** As {@link PageTables.translate}, perhaps from before. */
  translate(high: number, low: number): number {
    const slot = ((low >>> PAGE_SHIFT) ^ (high << 4)) & this.#mask;
    const tag = ((low & ~PAGE_MASK) | 1) >>> 0;
    if (this.#lows[slot] === tag && this.#highs[slot] === high) {
      return (this.#pages[slot] ?? 0) + (low & PAGE_MASK);
    }
    const physical = this.#tables.translate(high, low);
    if (physical < 0) return -1;
    this.#highs[slot] = high;
    this.#lows[slot] = tag;
    this.#pages[slot] = physical - (low & PAGE_MASK);
    return physical;
  }

  /** Forgets everything. */
  clear(): void {
    this.#lows.fill(0);
  }
}

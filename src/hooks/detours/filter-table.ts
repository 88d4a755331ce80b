import { UnderwatchError } from '../../errors.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { FILTER_COUNT_OFFSET, FILTER_SLOTS, firstSlot, REMOVED } from './filter-layout.ts';

/** Slots that were never used, which end every search in the guest. */
const MIN_UNUSED = FILTER_SLOTS / 4;
/** Address spaces that can be protected at a time. */
export const FILTER_CAPACITY = FILTER_SLOTS / 2;

/**
 * The engine's side of a table that stubs look things up in: protected address spaces (`mm_struct`), or programs that do
 * not matter. The guest reads it while it is written: an entry
 * appears and vanishes with one store, and a search that passes by finds all others. The guest cannot write it, so
 * what is in there is known here and never read back.
 */
export class FilterTable {
  readonly #memory: Pick<WritablePhysicalMemory, 'write'>;
  readonly #physical: number;
  readonly #slots = new BigUint64Array(FILTER_SLOTS);
  readonly #word = Buffer.alloc(8);
  #count = 0;

  /** The table lies at that guest-physical address; it is emptied. */
  constructor(memory: Pick<WritablePhysicalMemory, 'write'>, physical: number) {
    this.#memory = memory;
    this.#physical = physical;
    memory.write(physical, new Uint8Array(FILTER_COUNT_OFFSET + 8));
  }

  get count(): number {
    return this.#count;
  }

  has(addressSpace: bigint): boolean {
    return this.#find(addressSpace) >= 0;
  }

  /**
   * From now on that `mm_struct` is protected.
   * @throws UnderwatchError (`limit`) where the table is full
   */
  add(addressSpace: bigint): void {
    if (addressSpace <= REMOVED) throw new RangeError('that is no address space');
    if (this.has(addressSpace)) return;
    const slot = this.#free(addressSpace);
    if (slot === undefined)
      throw new UnderwatchError(
        'limit',
        `no more address spaces can be protected in the guest at a time: ${this.#count} are`,
      );
    this.#write(slot, addressSpace);
    this.#setCount(this.#count + 1);
  }

  /** From now on that `mm_struct` is not protected; nothing happens where it was not. */
  delete(addressSpace: bigint): void {
    const slot = this.#find(addressSpace);
    if (slot < 0) return;
    this.#setCount(this.#count - 1);
    this.#write(slot, REMOVED);
    for (
      let last = slot;
      this.#slots[last] === REMOVED && this.#slots[next(last)] === 0n;
      last = previous(last)
    )
      this.#write(last, 0n);
  }

  /** Empties the table. */
  clear(): void {
    this.#setCount(0);
    for (const [slot, value] of this.#slots.entries()) if (value !== 0n) this.#write(slot, 0n);
  }

  #find(addressSpace: bigint): number {
    for (let slot = firstSlot(addressSpace); this.#slots[slot] !== 0n; slot = next(slot))
      if (this.#slots[slot] === addressSpace) return slot;
    return -1;
  }

  /** The slot for a new entry: one that was given up where there is one on the way, so that the unused stay many. */
  #free(addressSpace: bigint): number | undefined {
    if (this.#count >= FILTER_CAPACITY) return undefined;
    for (let slot = firstSlot(addressSpace); ; slot = next(slot)) {
      if (this.#slots[slot] === REMOVED) return slot;
      if (this.#slots[slot] === 0n) return this.#unused() > MIN_UNUSED ? slot : undefined;
    }
  }

  #unused(): number {
    return this.#slots.reduce((count, slot) => count + Number(slot === 0n), 0);
  }

  #write(slot: number, value: bigint): void {
    this.#slots[slot] = value;
    this.#word.writeBigUInt64LE(value);
    this.#memory.write(this.#physical + 8 * slot, this.#word);
  }

  #setCount(count: number): void {
    this.#count = count;
    this.#word.writeBigUInt64LE(BigInt(count));
    this.#memory.write(this.#physical + FILTER_COUNT_OFFSET, this.#word);
  }
}

function next(slot: number): number {
  return (slot + 1) % FILTER_SLOTS;
}

function previous(slot: number): number {
  return (slot + FILTER_SLOTS - 1) % FILTER_SLOTS;
}

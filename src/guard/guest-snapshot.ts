import { type MemorySnapshot, PAGE_SIZE } from '../analysis/emulator/memory/snapshot.ts';
import type { UserMemory } from '../linux/user-memory.ts';
import { gvaOfWords } from '../memory/address.ts';

/** The user memory of a live process, page by page, as long as the guest stands still. */
export class GuestSnapshot implements MemorySnapshot {
  readonly #memory: UserMemory;
  readonly #page = new Uint8Array(PAGE_SIZE);

  constructor(memory: UserMemory) {
    this.#memory = memory;
  }

  readPage(high: number, low: number): Uint8Array | undefined {
    return this.#memory.read(gvaOfWords(high, low), this.#page) === PAGE_SIZE ? this.#page : undefined;
  }
}

import type { SparseMemory } from '../../src/memory/sparse-memory.ts';

const TABLE_BITS = 0x67n;
const FRAME = 0x000f_ffff_ffff_f000n;

/** Builds page tables as a kernel would, in pages that it takes from `next` on. */
export class PageTableWriter {
  readonly memory: SparseMemory;
  readonly root: number;
  readonly levels: 4 | 5;
  #next: number;

  constructor(memory: SparseMemory, root: number, levels: 4 | 5 = 4) {
    this.memory = memory;
    this.root = root;
    this.levels = levels;
    this.#next = root + 4096;
    memory.map(root, 4096);
  }

  /** Sets the entry for an address at a level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB), making tables above it as needed. */
  set(address: bigint, entry: bigint, level = 1): number {
    let table = this.root;
    for (let at: number = this.levels; at > level; at--)
      table = this.#below(entryAddress(table, address, at));
    const place = entryAddress(table, address, level);
    this.memory.place64(place, entry);
    return place;
  }

  #below(entry: number): number {
    const value = (BigInt(this.memory.u32(entry + 4)) << 32n) | BigInt(this.memory.u32(entry));
    if ((value & 1n) !== 0n) return Number(value & FRAME);
    const table = this.#next;
    this.#next += 4096;
    this.memory.map(table, 4096);
    this.memory.place64(entry, BigInt(table) | TABLE_BITS);
    return table;
  }
}

function entryAddress(table: number, address: bigint, level: number): number {
  return table + 8 * Number((address >> BigInt(12 + 9 * (level - 1))) & 0x1ffn);
}

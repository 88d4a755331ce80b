import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import type { LinearMapping } from '../kernel-memory.ts';
import type { NameTable } from './name-table.ts';
import type { TokenTable } from './token-table.ts';

/** Where each symbol lies, by its number. */
export interface AddressTable {
  /** The layout's name, for `info` and for messages. */
  readonly layout: string;
  readonly count: number;
  /** The run-time address of a symbol; 0 beyond the last one. */
  at(index: number): GuestVirtualAddress;
  /** Whether addresses ascend with numbers, as they do in every kernel. */
  ascends(): boolean;
}

const WORD = 2 ** 32;

/** Offsets from a base; negative ones count down from it, others are addresses (KALLSYMS_ABSOLUTE_PERCPU). */
class PerCpuOffsets implements AddressTable {
  readonly layout = 'offsets from a base, per-CPU symbols absolute';
  readonly count: number;
  readonly #offsets: Int32Array;
  readonly #base: bigint;

  constructor(offsets: Int32Array, base: bigint) {
    this.count = offsets.length;
    this.#offsets = offsets;
    this.#base = base;
  }

  at(index: number): GuestVirtualAddress {
    const offset = this.#offsets[index] ?? 0;
    return gva(offset >= 0 ? BigInt(offset) : this.#base - 1n - BigInt(offset));
  }

  ascends(): boolean {
    return ascends(this.#offsets, (offset) => (offset >= 0 ? offset : WORD - offset));
  }
}

/** Unsigned offsets from a base (KALLSYMS_BASE_RELATIVE without ABSOLUTE_PERCPU). */
class BaseOffsets implements AddressTable {
  readonly layout = 'offsets from a base';
  readonly count: number;
  readonly #offsets: Int32Array;
  readonly #base: bigint;

  constructor(offsets: Int32Array, base: bigint) {
    this.count = offsets.length;
    this.#offsets = offsets;
    this.#base = base;
  }

  at(index: number): GuestVirtualAddress {
    return gva(this.#base + BigInt((this.#offsets[index] ?? 0) >>> 0));
  }

  ascends(): boolean {
    return ascends(this.#offsets, (offset) => offset >>> 0);
  }
}

/** Offsets from the place of each entry itself (since Linux 7.x). */
class SelfOffsets implements AddressTable {
  readonly layout = 'offsets from their own place';
  readonly count: number;
  readonly #offsets: Int32Array;
  readonly #place: bigint;

  constructor(offsets: Int32Array, place: bigint) {
    this.count = offsets.length;
    this.#offsets = offsets;
    this.#place = place;
  }

  at(index: number): GuestVirtualAddress {
    return gva(this.#place + BigInt(4 * index + (this.#offsets[index] ?? 0)));
  }

  ascends(): boolean {
    return ascends(this.#offsets, (offset, index) => 4 * index + offset);
  }
}

/** Whole addresses (KALLSYMS_BASE_RELATIVE off). */
class WholeAddresses implements AddressTable {
  readonly layout = 'whole addresses';
  readonly count: number;
  readonly #addresses: BigUint64Array;

  constructor(addresses: BigUint64Array) {
    this.count = addresses.length;
    this.#addresses = addresses;
  }

  at(index: number): GuestVirtualAddress {
    return gva(this.#addresses[index] ?? 0n);
  }

  ascends(): boolean {
    return this.#addresses.every((address, index) => index === 0 || address >= this.at(index - 1));
  }
}

/**
 * Every way in which the addresses of these names may be kept (Linux `scripts/kallsyms.c`, 5.10 to 7.x):
 * before the symbol count or behind the token index, with or without a base. At most one of them makes
 * sense of the guest's bytes; the caller tells which by what they point to.
 */
export function* addressTables(
  memory: PhysicalMemory,
  image: LinearMapping,
  names: NameTable,
  tokens: TokenTable,
): Generator<AddressTable> {
  const { count, countAddress } = names;
  const behind = alignUp(tokens.end, 8);
  const baseBehind = alignUp(behind + 4 * count, 8);
  yield* withBase(memory, alignDown(countAddress - 8 - 4 * count, 8), countAddress - 8, count);
  yield* withBase(memory, behind, baseBehind, count);
  const place = tokens.end;
  const offsets = readOffsets(memory, place, count);
  if (offsets !== undefined) {
    yield new SelfOffsets(offsets, image.virtualStart + BigInt(place - image.physicalStart));
  }
  for (const whole of [alignDown(countAddress - 8 * count, 8), behind]) {
    const bytes = readCopy(memory, whole, 8 * count);
    if (bytes !== undefined) yield new WholeAddresses(new BigUint64Array(bytes.buffer));
  }
}

function* withBase(
  memory: PhysicalMemory,
  offsetsAddress: number,
  baseAddress: number,
  count: number,
): Generator<AddressTable> {
  const offsets = readOffsets(memory, offsetsAddress, count);
  const base = readCopy(memory, baseAddress, 8);
  if (offsets === undefined || base === undefined) return;
  const value = new DataView(base.buffer).getBigUint64(0, true);
  yield new PerCpuOffsets(offsets, value);
  yield new BaseOffsets(offsets, value);
}

function readOffsets(memory: PhysicalMemory, address: number, count: number): Int32Array | undefined {
  const bytes = readCopy(memory, address, 4 * count);
  return bytes === undefined ? undefined : new Int32Array(bytes.buffer);
}

function readCopy(
  memory: PhysicalMemory,
  address: number,
  length: number,
): Uint8Array<ArrayBuffer> | undefined {
  if (address < 0 || !memory.contains(address, length)) return undefined;
  const bytes = new Uint8Array(length);
  memory.read(address, bytes);
  return bytes;
}

/** Whether what an offset comes to ascends; in numbers, as there are a hundred thousand and more. */
function ascends(offsets: Int32Array, place: (offset: number, index: number) => number): boolean {
  let before = -Infinity;
  for (let index = 0; index < offsets.length; index++) {
    const here = place(offsets[index] ?? 0, index);
    if (here < before) return false;
    before = here;
  }
  return true;
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function alignDown(value: number, to: number): number {
  return Math.floor(value / to) * to;
}

import { Btf } from '../../src/linux/btf.ts';
import { KernelMemory } from '../../src/linux/kernel-memory.ts';
import { buildLayout, type KernelLayout } from '../../src/linux/layout.ts';
import { SymbolTable } from '../../src/linux/symbols.ts';
import { type GuestVirtualAddress, gpa, gva } from '../../src/memory/address.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';
import { PageTables } from '../../src/x86/page-tables.ts';
import { type KernelTypesOptions, kernelTypes } from './kernel-types.ts';

const DIRECT_MAP = 0xffff_8880_0000_0000n;
const IMAGE = 0xffff_ffff_8100_0000n;
const IMAGE_PHYSICAL = 0x4000_0000;
const RAM = 0x2000_0000;
/** Page 0 stays empty, as in a machine. */
const FIRST_FREE = 0x1000;

/** Symbols by name, in place of a kernel's own table. */
class KnownSymbols extends SymbolTable {
  readonly #known = new Map<string, GuestVirtualAddress>();

  constructor() {
    super(undefined as never, undefined as never);
  }

  set(name: string, address: GuestVirtualAddress): void {
    this.#known.set(name, address);
  }

  override findMany(names: readonly string[]): Map<string, GuestVirtualAddress> {
    const found = names.flatMap((name): [string, GuestVirtualAddress][] => {
      const address = this.#known.get(name);
      return address === undefined ? [] : [[name, address]];
    });
    return new Map(found);
  }
}

/**
 * Guest-kernel memory that a test fills with structures: a direct map, an allocator, and the layout of a
 * made-up kernel's types.
 */
export class SyntheticKernel {
  readonly physical = new SparseMemory();
  readonly memory: KernelMemory;
  readonly layout: KernelLayout;
  readonly types: Btf;
  readonly symbols = new KnownSymbols();
  #next = FIRST_FREE;

  constructor(options: KernelTypesOptions = {}) {
    this.types = new Btf(kernelTypes(options));
    this.layout = buildLayout(this.types);
    this.memory = new KernelMemory(
      this.physical,
      new PageTables(this.physical, 0, 4),
      { virtualStart: gva(IMAGE), physicalStart: IMAGE_PHYSICAL, size: 0x1_0000 },
      { virtualStart: gva(DIRECT_MAP), physicalStart: gpa(0), size: RAM },
    );
  }

  /** Zeroed memory in the direct map. */
  allocate(size: number, alignment = 16): GuestVirtualAddress {
    const at = Math.ceil(this.#next / alignment) * alignment;
    this.#next = at + size;
    this.physical.map(at, size);
    return gva(DIRECT_MAP + BigInt(at));
  }

  /** Writes a 64-bit word at an offset of a structure. */
  put(address: GuestVirtualAddress, offset: number | undefined, value: bigint): void {
    if (offset === undefined) throw new RangeError('the made-up kernel has no such member');
    this.physical.place64(this.physicalOf(address) + offset, value);
  }

  /** Writes text and its NUL. */
  putText(address: GuestVirtualAddress, offset: number, text: string | Uint8Array): void {
    this.physical.write(
      this.physicalOf(address) + offset,
      Buffer.concat([Buffer.from(text), Buffer.from([0])]),
    );
  }

  /** A new structure with text in it. */
  text(text: string | Uint8Array): GuestVirtualAddress {
    const address = this.allocate(Buffer.from(text).length + 1);
    this.putText(address, 0, text);
    return address;
  }

  physicalOf(address: GuestVirtualAddress): number {
    return Number(address - DIRECT_MAP);
  }
}

import { TargetError } from '../../../src/errors.ts';
import { KernelMemory } from '../../../src/linux/kernel-memory.ts';
import type { KernelSymbol, NearestSymbol } from '../../../src/linux/symbols.ts';
import { type GuestVirtualAddress, gva } from '../../../src/memory/address.ts';
import { PageTables } from '../../../src/x86/page-tables.ts';
import { ArrayMemory } from '../../support/array-memory.ts';

/** Where the image of these kernels lies, and its size. */
export const TEXT = 0xffff_ffff_8100_0000n;
const IMAGE_AT = 0x20_0000;
const IMAGE_SIZE = 0x20_0000;
const ROOT_AT = 0x1000;
const TABLE = 0x63n;

/** A kernel of nothing but text and symbols, mapped by one large page. */
export class KernelInArray {
  readonly physical = new ArrayMemory(IMAGE_AT + IMAGE_SIZE);
  readonly memory: KernelMemory;
  readonly #symbols = new Map<string, GuestVirtualAddress>();

  /** `leaf`: the bits of the entry that maps the image. */
  constructor(leaf = 0x1e1n) {
    this.physical.setU64(ROOT_AT + 8 * 511, 0x2000n | TABLE);
    this.physical.setU64(0x2000 + 8 * 510, 0x3000n | TABLE);
    this.physical.setU64(0x3000 + 8 * 8, BigInt(IMAGE_AT) | leaf);
    const image = { virtualStart: gva(TEXT), physicalStart: IMAGE_AT, size: IMAGE_SIZE };
    this.memory = new KernelMemory(this.physical, new PageTables(this.physical, ROOT_AT, 4), image);
  }

  /** Puts bytes (in hexadecimal) at an offset in the image, under a symbol. */
  place(symbol: string, offset: number, bytes = ''): GuestVirtualAddress {
    const address = gva(TEXT + BigInt(offset));
    this.#symbols.set(symbol, address);
    this.physical.write(IMAGE_AT + offset, Buffer.from(bytes.replaceAll(' ', ''), 'hex'));
    return address;
  }

  fill(offset: number, size: number, byte: number): void {
    this.physical.write(IMAGE_AT + offset, new Uint8Array(size).fill(byte));
  }

  readonly symbols = {
    find: (name: string) => this.#symbols.get(name),
    require: (name: string) => {
      const address = this.#symbols.get(name);
      if (address === undefined) throw new TargetError(`the kernel has no symbol ${name}`);
      return address;
    },
    nearest: (address: GuestVirtualAddress): NearestSymbol | undefined => {
      let nearest: KernelSymbol | undefined;
      for (const [name, place] of this.#symbols)
        if (place <= address && place >= (nearest?.address ?? 0n))
          nearest = { name, type: 't', address: place };
      return nearest && { ...nearest, offset: Number(address - nearest.address) };
    },
  };
}

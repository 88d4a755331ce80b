import { type GuestVirtualAddress, gva, gvaOfWords } from '../memory/address.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { type KernelMemory, KernelMemoryError } from './kernel-memory.ts';

/**
 * One structure in guest-kernel memory: located once, then read field by field. For structures of the direct
 * map or the kernel image, which are physically contiguous; not for those in vmalloc space.
 */
export class KernelObject {
  readonly address: GuestVirtualAddress;
  readonly #physical: PhysicalMemory;
  readonly #at: number;

  /** Throws a KernelMemoryError when the address is null, not 4-byte aligned or not mapped. */
  constructor(memory: KernelMemory, address: GuestVirtualAddress) {
    if (address % 4n !== 0n) throw new KernelMemoryError(address);
    this.address = address;
    this.#physical = memory.physical;
    this.#at = memory.locateAddress(address);
  }

  u16(offset: number): number {
    return this.#physical.u16(this.#at + offset);
  }

  u32(offset: number): number {
    return this.#physical.u32(this.#at + offset);
  }

  u64(offset: number): bigint {
    return gvaOfWords(this.u32(offset + 4), this.u32(offset));
  }

  /** A pointer, which may be null. */
  pointer(offset: number): GuestVirtualAddress {
    return gvaOfWords(this.u32(offset + 4), this.u32(offset));
  }

  /** The address of a structure that is embedded in this one. */
  addressOf(offset: number): GuestVirtualAddress {
    return gva(this.address + BigInt(offset));
  }

  bytes(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#physical.read(this.#at + offset, bytes);
    return bytes;
  }
}

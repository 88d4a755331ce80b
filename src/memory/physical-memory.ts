import { UnderwatchError } from '../errors.ts';
import { type GuestPhysicalAddress, hex } from './address.ts';
import type { MemoryWindow } from './object-window.ts';

/** A run of guest-physical addresses that RAM stands behind: `[start, start + size)`, in bytes. */
export interface PhysicalRange {
  readonly start: GuestPhysicalAddress;
  readonly size: number;
}

/** No RAM stands behind a guest-physical address. */
export class PhysicalMemoryError extends UnderwatchError {
  readonly address: number;

  constructor(address: number, message = `no memory at guest-physical address ${hex(address)}`) {
    super('unreadable', message);
    this.address = address;
  }
}

/**
 * Guest-physical memory: the lowest floor, which every reader stands on. Layers (cache, recording, image
 * formats) implement the same interface and wrap one another.
 *
 * The word readers are the hot path of every walker: they take a guest-physical address as a plain number,
 * allocate nothing, read little-endian, and throw {@link PhysicalMemoryError} where there is no RAM.
 * Aligned words never cross a range. On a live guest a 64-bit value read as two words may be torn.
 */
export interface PhysicalMemory extends Disposable {
  /** Where RAM is, ascending and not overlapping. */
  readonly ranges: readonly PhysicalRange[];
  /**
   * The parts of {@link ranges} that may hold anything but zeros, for searches: what lies in a hole of a sparse file
   * need not be read, and reading a hole of a live guest's RAM would fill it. Absent where nothing is known.
   */
  readonly populated?: readonly PhysicalRange[] | undefined;
  /** One byte, unsigned. */
  u8(address: number): number;
  /** Two bytes, unsigned; need not be aligned, must not cross the end of a page. */
  u16(address: number): number;
  /** Four bytes, unsigned; need not be aligned, must not cross the end of a page. */
  u32(address: number): number;
  /** Fills `target` from `address` on; throws at the first address that has no RAM, target's content then undefined. */
  read(address: number, target: Uint8Array): void;
  /** Whether all of `[address, address + length)` is RAM. */
  contains(address: number, length: number): boolean;
  /**
   * Says where `[address, address + length)` and what is around it can be read as long as {@link generation} stays what
   * it is; false where it does not lie in one piece, or not all of it is RAM. For {@link ObjectWindow}; absent where
   * words are read no faster so.
   */
  window?(address: number, length: number, into: MemoryWindow): boolean;
  /** Changes whenever windows that were given out are no longer good. */
  readonly generation?: number;
}

/** Physical memory that can also be written. Code bytes and translations need more: see `machine/`. */
export interface WritablePhysicalMemory extends PhysicalMemory {
  write(address: number, bytes: Uint8Array): void;
}

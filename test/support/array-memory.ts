import { gpa } from '../../src/memory/address.ts';
import { PhysicalMemoryError, type WritablePhysicalMemory } from '../../src/memory/physical-memory.ts';

/** Guest-physical memory from 0 on in an array, for unit tests. */
export class ArrayMemory implements WritablePhysicalMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  get ranges() {
    return [{ start: gpa(0), size: this.bytes.length }];
  }

  u8(address: number): number {
    return this.view.getUint8(this.#checked(address, 1));
  }

  u16(address: number): number {
    return this.view.getUint16(this.#checked(address, 2), true);
  }

  u32(address: number): number {
    return this.view.getUint32(this.#checked(address, 4), true);
  }

  u64(address: number): bigint {
    return this.view.getBigUint64(this.#checked(address, 8), true);
  }

  setU64(address: number, value: bigint): void {
    this.view.setBigUint64(this.#checked(address, 8), value, true);
  }

  read(address: number, target: Uint8Array): void {
    target.set(this.bytes.subarray(this.#checked(address, target.length), address + target.length));
  }

  write(address: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#checked(address, bytes.length));
  }

  contains(address: number, length: number): boolean {
    return address >= 0 && address + length <= this.bytes.length;
  }

  [Symbol.dispose](): void {}

  #checked(address: number, length: number): number {
    if (!this.contains(address, length)) throw new PhysicalMemoryError(address);
    return address;
  }
}

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { TargetError, TargetLostError } from '../errors.ts';
import { PhysicalMemoryError, type PhysicalRange, type WritablePhysicalMemory } from './physical-memory.ts';
import { checkRanges, coveredUpTo, covers } from './ranges.ts';

/** A run of guest-physical memory that lies in the memory of the process that runs the guest. */
export interface ProcessRange extends PhysicalRange {
  /** Where the run starts in that process: a host-virtual address. */
  readonly hostAddress: number;
}

type Transfer = (fd: number, bytes: Uint8Array, from: number, length: number, position: number) => number;

/**
 * Guest RAM read and written through `/proc/PID/mem` of the process that runs the guest (proc_pid_mem(5)); needs
 * the right to trace that process. A system call a read, about 3 us: put a {@link LivePageCache} over it.
 */
export class ProcessMemory implements WritablePhysicalMemory {
  readonly ranges: readonly ProcessRange[];
  readonly #word = new DataView(new ArrayBuffer(4));
  readonly #wordBytes = new Uint8Array(this.#word.buffer);
  readonly #path: string;
  #fd: number | undefined;

  /**
   * @param ranges where RAM is, ascending and not overlapping
   * @throws TargetError where the process's memory cannot be opened
   */
  constructor(pid: number, ranges: readonly ProcessRange[]) {
    checkRanges(ranges);
    this.ranges = ranges;
    this.#path = `/proc/${pid}/mem`;
    try {
      this.#fd = openSync(this.#path, 'r+');
    } catch (cause) {
      throw new TargetError(`${this.#path} cannot be opened: ${(cause as NodeJS.ErrnoException).code}`, {
        cause,
      });
    }
  }

  u8(address: number): number {
    this.#readWord(address, 1);
    return this.#word.getUint8(0);
  }

  u16(address: number): number {
    this.#readWord(address, 2);
    return this.#word.getUint16(0, true);
  }

  u32(address: number): number {
    this.#readWord(address, 4);
    return this.#word.getUint32(0, true);
  }

  read(address: number, target: Uint8Array): void {
    this.#transfer(readSync, address, target, target.length);
  }

  write(address: number, bytes: Uint8Array): void {
    if (!this.contains(address, bytes.length))
      throw new PhysicalMemoryError(coveredUpTo(this.ranges, address));
    this.#transfer(writeSync, address, bytes, bytes.length);
  }

  contains(address: number, length: number): boolean {
    return this.#fd !== undefined && covers(this.ranges, address, length);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #readWord(address: number, length: number): void {
    this.#transfer(readSync, address, this.#wordBytes, length);
  }

  #transfer(operation: Transfer, address: number, bytes: Uint8Array, length: number): void {
    for (let done = 0; done < length; ) {
      const range = this.#range(address + done);
      const offset = address + done - range.start;
      const wanted = Math.min(length - done, range.size - offset);
      done += this.#attempt(operation, bytes, done, wanted, range.hostAddress + offset, address + done);
    }
  }

  #attempt(
    operation: Transfer,
    bytes: Uint8Array,
    from: number,
    length: number,
    position: number,
    address: number,
  ): number {
    if (this.#fd === undefined) throw new PhysicalMemoryError(address);
    let done: number;
    try {
      done = operation(this.#fd, bytes, from, length, position);
    } catch {
      throw new PhysicalMemoryError(address);
    }
    if (done === 0) throw new TargetLostError(`the process behind ${this.#path} has ended`);
    return done;
  }

  #range(address: number): ProcessRange {
    for (const range of this.ranges) {
      if (address >= range.start && address < range.start + range.size) return range;
    }
    throw new PhysicalMemoryError(address);
  }
}

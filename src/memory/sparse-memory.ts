import { gpa } from './address.ts';
import { PhysicalMemoryError, type PhysicalRange, type WritablePhysicalMemory } from './physical-memory.ts';

const PAGE_SIZE = 4096;
const OFFSET_MASK = PAGE_SIZE - 1;

/** Guest-physical memory made of single pages held in this process: for tests and the mock machine. */
export class SparseMemory implements WritablePhysicalMemory {
  readonly #pages = new Map<number, DataView>();

  /** The mapped pages; adjacent ones joined. */
  get ranges(): readonly PhysicalRange[] {
    const ranges: { start: PhysicalRange['start']; size: number }[] = [];
    for (const page of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last !== undefined && last.start + last.size === page * PAGE_SIZE) last.size += PAGE_SIZE;
      else ranges.push({ start: gpa(page * PAGE_SIZE), size: PAGE_SIZE });
    }
    return ranges;
  }

  /** Puts RAM behind every page that `[address, address + length)` touches: zeros where there was none. */
  map(address: number, length: number): void {
    for (let page = Math.floor(address / PAGE_SIZE); page * PAGE_SIZE < address + length; page++) {
      if (!this.#pages.has(page)) this.#pages.set(page, new DataView(new ArrayBuffer(PAGE_SIZE)));
    }
  }

  /** Takes away the page that `address` lies in. */
  unmap(address: number): void {
    this.#pages.delete(Math.floor(address / PAGE_SIZE));
  }

  /** Maps what is missing, then writes: the short way to build test memory. */
  place(address: number, bytes: Uint8Array): void {
    this.map(address, bytes.length);
    this.write(address, bytes);
  }

  /** Maps what is missing, then writes a 64-bit little-endian value. */
  place64(address: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.place(address, bytes);
  }

  u8(address: number): number {
    return this.#page(address).getUint8(address & OFFSET_MASK);
  }

  u16(address: number): number {
    if ((address & OFFSET_MASK) > PAGE_SIZE - 2) return this.u8(address) | (this.u8(address + 1) << 8);
    return this.#page(address).getUint16(address & OFFSET_MASK, true);
  }

  u32(address: number): number {
    if ((address & OFFSET_MASK) > PAGE_SIZE - 4)
      return (this.u16(address) | (this.u16(address + 2) << 16)) >>> 0;
    return this.#page(address).getUint32(address & OFFSET_MASK, true);
  }

  read(address: number, target: Uint8Array): void {
    this.#eachPart(address, target.length, (page, offset, done, length) => {
      target.set(new Uint8Array(page.buffer, offset, length), done);
    });
  }

  write(address: number, bytes: Uint8Array): void {
    this.#eachPart(address, bytes.length, () => {});
    this.#eachPart(address, bytes.length, (page, offset, done, length) => {
      new Uint8Array(page.buffer, offset, length).set(bytes.subarray(done, done + length));
    });
  }

  contains(address: number, length: number): boolean {
    for (let page = Math.floor(address / PAGE_SIZE); page * PAGE_SIZE < address + length; page++) {
      if (!this.#pages.has(page)) return false;
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#pages.clear();
  }

  #page(address: number): DataView {
    const page = this.#pages.get(Math.floor(address / PAGE_SIZE));
    if (page === undefined) throw new PhysicalMemoryError(address);
    return page;
  }

  #eachPart(
    address: number,
    total: number,
    visit: (page: DataView, offset: number, done: number, length: number) => void,
  ): void {
    for (let done = 0; done < total; ) {
      const offset = (address + done) & OFFSET_MASK;
      const length = Math.min(total - done, PAGE_SIZE - offset);
      visit(this.#page(address + done), offset, done, length);
      done += length;
    }
  }
}

import { EmulationStop } from '../stop.ts';
import { PAGE_SIZE } from './snapshot.ts';

const FIRST_PAGES = 16;

/**
 * The pages that one run touched, side by side in one buffer, with a byte of marks for each byte. It grows up
 * to a bound and is reused from run to run.
 */
export class PageSlab {
  bytes = new Uint8Array(FIRST_PAGES * PAGE_SIZE);
  view = new DataView(this.bytes.buffer);
  marks = new Uint8Array(FIRST_PAGES * PAGE_SIZE);
  markView = new DataView(this.marks.buffer);
  /** Pages in use. */
  count = 0;

  readonly #maximum: number;
  readonly #code: Uint8Array;
  readonly #written: Uint8Array;
  readonly #numbers: Float64Array;

  constructor(maximumPages: number) {
    this.#maximum = maximumPages;
    this.#code = new Uint8Array(maximumPages);
    this.#written = new Uint8Array(maximumPages);
    this.#numbers = new Float64Array(maximumPages);
  }

  reset(): void {
    for (let page = 0; page < this.count; page++) {
      if (this.#written[page] !== 0) this.marks.fill(0, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    }
    this.#written.fill(0, 0, this.count);
    this.#code.fill(0, 0, this.count);
    this.count = 0;
  }

  /** Takes the next page, filled from `bytes` or with zeroes; returns its offset. */
  allocate(bytes: Uint8Array | undefined, number: number): number {
    if (this.count === this.#maximum) {
      throw new EmulationStop({ kind: 'memory-limit', pages: this.#maximum });
    }
    const base = this.count * PAGE_SIZE;
    if (base === this.bytes.length) this.#grow();
    if (bytes === undefined) this.bytes.fill(0, base, base + PAGE_SIZE);
    else this.bytes.set(bytes.length === PAGE_SIZE ? bytes : pad(bytes), base);
    this.#numbers[this.count] = number;
    this.count++;
    return base;
  }

  /** Whether instructions were decoded from the page at this offset. */
  holdsCode(base: number): boolean {
    return this.#code[base >>> 12] !== 0;
  }

  setCode(base: number): void {
    this.#code[base >>> 12] = 1;
  }

  /** Whether any byte of the page at this offset was stored to. */
  isWritten(base: number): boolean {
    return this.#written[base >>> 12] !== 0;
  }

  setWritten(base: number): void {
    this.#written[base >>> 12] = 1;
  }

  /** The number of the page (its address divided by 4096) that lies at this offset. */
  pageNumberAt(base: number): number {
    return this.#numbers[base >>> 12] ?? 0;
  }

  #grow(): void {
    const size = Math.min(this.bytes.length * 2, this.#maximum * PAGE_SIZE);
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes);
    const marks = new Uint8Array(size);
    marks.set(this.marks);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.marks = marks;
    this.markView = new DataView(marks.buffer);
  }
}

function pad(bytes: Uint8Array): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  page.set(bytes.subarray(0, PAGE_SIZE));
  return page;
}

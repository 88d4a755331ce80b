import { gpa } from '../../../memory/address.ts';
import type { PhysicalRange } from '../../../memory/physical-memory.ts';
import { MAXIMUM_RANGES, PAGE_SIZE } from '../store/page-source.ts';

const BYTES_PER_BLOCK = 64;
const FRAMES_PER_BLOCK = 8 * BYTES_PER_BLOCK;

/** Bits set in each byte value. */
const POPULATION = Uint8Array.from({ length: 256 }, (_, value) => {
  let bits = 0;
  for (let rest = value; rest > 0; rest >>>= 1) bits += rest & 1;
  return bits;
});

/** A bit for each page frame, least significant first, with counts that make a frame's rank cheap. */
export class PageBitmap {
  readonly #bits: Uint8Array;
  /** How many bits are set before each block of 64 bytes. */
  readonly #counts: Uint32Array;
  /** How many bits are set in all. */
  readonly total: number;

  constructor(bits: Uint8Array) {
    this.#bits = bits;
    this.#counts = new Uint32Array(Math.ceil(bits.length / BYTES_PER_BLOCK));
    let total = 0;
    for (let index = 0; index < bits.length; index++) {
      if (index % BYTES_PER_BLOCK === 0) this.#counts[index / BYTES_PER_BLOCK] = total;
      total += POPULATION[bits[index] ?? 0] ?? 0;
    }
    this.total = total;
  }

  has(frame: number): boolean {
    return (((this.#bits[frame >>> 3] ?? 0) >>> (frame & 7)) & 1) === 1;
  }

  /** Whether every frame of `[first, last]` is set. */
  hasAll(first: number, last: number): boolean {
    for (let frame = first; frame <= last; frame++) if (!this.has(frame)) return false;
    return true;
  }

  /** How many frames below `frame` are set. */
  rank(frame: number): number {
    const byte = frame >>> 3;
    let rank = this.#counts[Math.floor(frame / FRAMES_PER_BLOCK)] ?? 0;
    for (let index = byte - (byte % BYTES_PER_BLOCK); index < byte; index++) {
      rank += POPULATION[this.#bits[index] ?? 0] ?? 0;
    }
    return rank + (POPULATION[(this.#bits[byte] ?? 0) & ((1 << (frame & 7)) - 1)] ?? 0);
  }

  /** Runs of frames that are set, as addresses: the first million, which no machine's memory comes near. */
  ranges(): readonly PhysicalRange[] {
    const ranges: PhysicalRange[] = [];
    const frames = 8 * this.#bits.length;
    for (let frame = this.#next(0, true); frame < frames && ranges.length < MAXIMUM_RANGES; ) {
      const end = this.#next(frame, false);
      ranges.push({ start: gpa(frame * PAGE_SIZE), size: (end - frame) * PAGE_SIZE });
      frame = this.#next(end, true);
    }
    return ranges;
  }

  /** The first frame from `frame` on that is set, or is not. */
  #next(frame: number, set: boolean): number {
    const frames = 8 * this.#bits.length;
    const uniform = set ? 0 : 0xff;
    let next = frame;
    while (next < frames) {
      if ((next & 7) === 0 && this.#bits[next >>> 3] === uniform) next += 8;
      else if (this.has(next) === set) return next;
      else next++;
    }
    return frames;
  }
}

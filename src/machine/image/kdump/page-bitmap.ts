import { gpa } from '../../../memory/address.ts';
import type { PhysicalRange } from '../../../memory/physical-memory.ts';
import { MAXIMUM_RANGES, PAGE_SIZE } from '../store/page-source.ts';

/** Frames are counted in blocks of this many words of 32. */
const WORDS_PER_BLOCK = 16;
const ALL = 0xffff_ffff;

/** A bit for each page frame, least significant first, with counts that make a frame's rank cheap. */
export class PageBitmap {
  readonly #words: Uint32Array;
  /** How many bits are set before each block. */
  readonly #counts: Uint32Array;
  /** How many bits are set in all. */
  readonly total: number;

  /** @param words the bits, 32 to a word */
  constructor(words: Uint32Array) {
    this.#words = words;
    this.#counts = new Uint32Array(Math.ceil(this.#words.length / WORDS_PER_BLOCK));
    let total = 0;
    for (let index = 0; index < this.#words.length; index++) {
      if (index % WORDS_PER_BLOCK === 0) this.#counts[index / WORDS_PER_BLOCK] = total;
      total += population(this.#words[index] ?? 0);
    }
    this.total = total;
  }

  has(frame: number): boolean {
    return (((this.#words[frame >>> 5] ?? 0) >>> (frame & 31)) & 1) === 1;
  }

  /** Whether every frame of `[first, last]` is set. */
  hasAll(first: number, last: number): boolean {
    return this.#next(first, false, last + 1) > last;
  }

  /** How many frames below `frame` are set. */
  rank(frame: number): number {
    const word = frame >>> 5;
    const block = Math.floor(word / WORDS_PER_BLOCK);
    let rank = this.#counts[block] ?? 0;
    for (let index = block * WORDS_PER_BLOCK; index < word; index++)
      rank += population(this.#words[index] ?? 0);
    return rank + population((this.#words[word] ?? 0) & (2 ** (frame & 31) - 1));
  }

  /** Runs of frames that are set, as addresses: the first million, which no machine's memory comes near. */
  ranges(): readonly PhysicalRange[] {
    const ranges: PhysicalRange[] = [];
    const frames = 32 * this.#words.length;
    for (let frame = this.#next(0, true); frame < frames && ranges.length < MAXIMUM_RANGES; ) {
      const end = this.#next(frame, false);
      ranges.push({ start: gpa(frame * PAGE_SIZE), size: (end - frame) * PAGE_SIZE });
      frame = this.#next(end, true);
    }
    return ranges;
  }

  /** The first frame from `frame` on that is set, or is not; `end` or more where none before `end` is. */
  #next(frame: number, set: boolean, end = 32 * this.#words.length): number {
    const uniform = set ? 0 : ALL;
    let next = frame;
    while (next < end) {
      if ((next & 31) === 0 && this.#words[next >>> 5] === uniform) next += 32;
      else if (this.has(next) === set) return next;
      else next++;
    }
    return end;
  }
}

/** Bits set in a word. */
function population(word: number): number {
  if (word === 0) return 0;
  if (word === ALL) return 32;
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const nibbles = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

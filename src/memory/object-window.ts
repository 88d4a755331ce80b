import { type PhysicalMemory, PhysicalMemoryError } from './physical-memory.ts';

const NOTHING = new Uint32Array(0);

/** Guest-physical memory `[start, end)` as it can be read at the moment: word 0 is word `first` of `words`. */
export interface MemoryWindow {
  /** Little-endian, as this machine is. */
  words: Uint32Array;
  first: number;
  start: number;
  end: number;
  /** What {@link PhysicalMemory.generation} was: the window is good as long as it stays so. */
  generation: number;
}

/**
 * One structure at a time, many words of it: its place is looked up once, and each word is then read as fast as the
 * memory below allows. What {@link open} shows is good until the memory is used in another way.
 */
export class ObjectWindow implements MemoryWindow {
  words: Uint32Array = NOTHING;
  first = 0;
  start = 0;
  end = 0;
  generation = -1;
  readonly #memory: PhysicalMemory;
  readonly #size: number;
  /** The structure's first word in `words`. */
  #at = 0;
  /** For structures that do not lie in one piece; made when the first of them is met. */
  #copy: Uint32Array | undefined;

  /** @param size of the structures, in bytes; they are aligned to 4 */
  constructor(memory: PhysicalMemory, size: number) {
    this.#memory = memory;
    this.#size = size;
  }

  /** Shows the structure at a guest-physical address; throws a PhysicalMemoryError where not all of it is RAM. */
  open(address: number): void {
    const isHere = address >= this.start && address + this.#size <= this.end;
    if (isHere && this.generation === this.#memory.generation) this.#at = this.#place(address);
    else this.#move(address);
  }

  /** Four bytes at an offset that is a multiple of 4, unsigned. */
  u32(offset: number): number {
    return this.words[this.#at + (offset >>> 2)] ?? 0;
  }

  #place(address: number): number {
    return this.first + ((address - this.start) >>> 2);
  }

  #move(address: number): void {
    if (this.#memory.window?.(address, this.#size, this) === true) {
      this.#at = this.#place(address);
      return;
    }
    this.end = 0;
    if (!this.#memory.contains(address, this.#size)) throw new PhysicalMemoryError(address);
    this.#copy ??= new Uint32Array(Math.ceil(this.#size / 4));
    this.#memory.read(address, new Uint8Array(this.#copy.buffer, 0, this.#size));
    this.words = this.#copy;
    this.#at = 0;
  }
}

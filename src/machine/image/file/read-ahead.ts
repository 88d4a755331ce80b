import type { ByteSource } from './bytes.ts';

/** Aligned so in the file. */
const BLOCK_BYTES = 16 * 1024;
const BLOCKS = 128;

/**
 * Reads a file by large blocks where it is asked for small pieces: structures that a walk visits one after another lie
 * near one another, and a call of the system costs more than the bytes. Keeps 2 MiB.
 */
export class ReadAhead {
  readonly #file: ByteSource;
  readonly #bytes = new Uint8Array(BLOCKS * BLOCK_BYTES);
  /** The file offset that each slot holds. */
  readonly #positions = new Float64Array(BLOCKS).fill(-1);
  readonly #lengths = new Uint32Array(BLOCKS);

  constructor(file: ByteSource) {
    this.#file = file;
  }

  /** As the file's own `read`; what lies across blocks, or is as large, is read from the file itself. */
  read(position: number, target: Uint8Array): number {
    const offset = position % BLOCK_BYTES;
    if (offset + target.length > BLOCK_BYTES) return this.#file.read(position, target);
    const slot = this.#slotOf(position - offset);
    const from = slot * BLOCK_BYTES + offset;
    const count = Math.max(0, Math.min(target.length, (this.#lengths[slot] ?? 0) - offset));
    target.set(this.#bytes.subarray(from, from + count));
    return count;
  }

  #slotOf(position: number): number {
    const slot = (position / BLOCK_BYTES) % BLOCKS;
    if (this.#positions[slot] === position) return slot;
    const block = this.#bytes.subarray(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES);
    this.#positions[slot] = position;
    this.#lengths[slot] = this.#file.read(position, block);
    return slot;
  }
}

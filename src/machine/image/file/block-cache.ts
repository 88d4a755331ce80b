import type { ByteSource } from './bytes.ts';

const BLOCK_SIZE = 4096;
const BLOCKS = 256;

/** Keeps the latest blocks of a file's tables, so that neighbouring entries cost one read. 1 MiB. */
export class BlockCache implements ByteSource {
  readonly #source: ByteSource;
  readonly #bytes = new Uint8Array(BLOCKS * BLOCK_SIZE);
  readonly #positions = new Float64Array(BLOCKS).fill(-1);
  readonly #lengths = new Uint16Array(BLOCKS);

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get size(): number {
    return this.#source.size;
  }

  read(position: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const offset = (position + done) % BLOCK_SIZE;
      const block = this.#block(position + done - offset);
      const part = block.subarray(offset, offset + target.length - done);
      if (part.length === 0) break;
      target.set(part, done);
      done += part.length;
    }
    return done;
  }

  #block(position: number): Uint8Array {
    const slot = (position / BLOCK_SIZE) % BLOCKS;
    const block = this.#bytes.subarray(slot * BLOCK_SIZE, (slot + 1) * BLOCK_SIZE);
    if (this.#positions[slot] !== position) {
      this.#positions[slot] = position;
      this.#lengths[slot] = this.#source.read(position, block);
    }
    return block.subarray(0, this.#lengths[slot]);
  }
}

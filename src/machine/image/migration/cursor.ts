import type { ByteSource } from '../file/bytes.ts';

/** After a skip a page's header is wanted, and the next is 4 KiB away; pages of zeros follow one another closely. */
const FIRST_WINDOW = 64;
const WINDOW = 4096;

/** The stream ends where more was expected. */
export class StreamEnd extends Error {}

/** Reads a migration stream (big-endian throughout) from front to back; skipping costs nothing. */
export class StreamCursor {
  position: number;
  readonly #source: ByteSource;
  readonly #window = new Uint8Array(WINDOW);
  readonly #view = new DataView(this.#window.buffer);
  /** File offset and length of what the window holds. */
  #start = 0;
  #length = 0;

  constructor(source: ByteSource, position: number) {
    this.#source = source;
    this.position = position;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A 64-bit number: exact up to 2^53, and above that merely larger than any bound. */
  u64(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }

  /** A string after its length in one byte. */
  name(): string {
    return this.text(this.u8());
  }

  /** A string of `length` bytes, at most 4096. */
  text(length: number): string {
    if (length > WINDOW) throw new StreamEnd();
    const at = this.#take(length);
    return Buffer.from(this.#window.subarray(at, at + length)).toString('latin1');
  }

  /** Throws where the stream does not have so many bytes. */
  skip(length: number): void {
    this.position += length;
    if (this.position > this.#source.size) throw new StreamEnd();
  }

  /** Moves on by `length` bytes and returns where in the window they are. */
  #take(length: number): number {
    let at = this.position - this.#start;
    if (at < 0 || at + length > this.#length) {
      const goesOn = this.position <= this.#start + this.#length && this.#length > 0;
      const wanted = goesOn ? WINDOW : Math.max(FIRST_WINDOW, length);
      this.#start = this.position;
      this.#length = this.#source.read(this.position, this.#window.subarray(0, wanted));
      if (this.#length < length) throw new StreamEnd();
      at = 0;
    }
    this.position += length;
    return at;
  }
}

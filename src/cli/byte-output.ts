import { once } from 'node:events';
import type { Writable } from 'node:stream';

const CHUNK_BYTES = 256 * 1024;
/** `0` to `f`. */
const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

/** Collects bytes and writes them in large pieces: for output of so many lines that strings would cost more than it. */
export class ByteOutput {
  readonly #stream: Writable;
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #length = 0;
  #isBehind = false;

  constructor(stream: Writable = process.stdout) {
    this.#stream = stream;
  }

  /** How many bytes are waiting in the present piece: tells how long a line is that did not begin a new one. */
  get position(): number {
    return this.#length;
  }

  /** Makes room for a line of that many bytes, so that it lies in one piece. */
  reserve(bytes: number): void {
    if (this.#length + bytes <= this.#chunk.length) return;
    this.#write();
    if (bytes > this.#chunk.length) this.#chunk = Buffer.allocUnsafe(bytes);
  }

  byte(value: number): void {
    this.#chunk[this.#length++] = value;
  }

  bytes(values: Uint8Array): void {
    this.#chunk.set(values, this.#length);
    this.#length += values.length;
  }

  /** A 64-bit value (its two 32-bit words) in hexadecimal, with zeros in front up to `digits`, at least one digit. */
  hex(high: number, low: number, digits: number): void {
    let count = high === 0 ? digitsOf(low) : 8 + digitsOf(high);
    if (count < digits) count = digits;
    for (let digit = count - 1; digit >= 0; digit--) {
      const word = digit >= 8 ? high : low;
      this.#chunk[this.#length++] = DIGITS[(word >>> (4 * (digit & 7))) & 0xf] ?? 0;
    }
  }

  /** Waits where the reader is slower than the writer. */
  async settle(): Promise<void> {
    if (this.#isBehind) await once(this.#stream, 'drain');
    this.#isBehind = false;
  }

  /** Writes what is left. */
  async flush(): Promise<void> {
    this.#write();
    await this.settle();
  }

  #write(): void {
    if (this.#length === 0) return;
    if (!this.#stream.write(this.#chunk.subarray(0, this.#length))) this.#isBehind = true;
    // What has not left the process yet must stay as it is.
    if (this.#stream.writableLength > 0) this.#chunk = Buffer.allocUnsafe(this.#chunk.length);
    this.#length = 0;
  }
}

function digitsOf(word: number): number {
  return word === 0 ? 1 : 8 - (Math.clz32(word) >>> 2);
}

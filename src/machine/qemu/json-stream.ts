const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NEWLINES_AND_SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
const OPENING = new Set([0x7b, 0x5b]);
const CLOSING = new Set([0x7d, 0x5d]);

/** The bytes cannot be a stream of JSON objects. */
export class JsonStreamError extends Error {}

/**
 * Cuts a stream of bytes into JSON objects, however the stream was cut into chunks and however many lines an
 * object takes. Pure: bytes in, values out. Memory is bounded by `limit`.
 */
export class JsonStream {
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #length = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** @param limit the longest object accepted, in bytes */
  constructor(limit = 16 * 1024 * 1024) {
    this.#limit = limit;
  }

  /** The objects that this chunk completes. Throws a {@link JsonStreamError} for what is not JSON or too long. */
  feed(chunk: Uint8Array): unknown[] {
    const values: unknown[] = [];
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#depth === 0 && !OPENING.has(byte)) {
        if (!NEWLINES_AND_SPACES.has(byte)) throw new JsonStreamError('not a JSON object');
        from = at + 1;
      } else if (this.#endsObject(byte)) {
        this.#keep(chunk.subarray(from, at + 1));
        values.push(this.#take());
        from = at + 1;
      }
    }
    this.#keep(chunk.subarray(from));
    return values;
  }

  #endsObject(byte: number): boolean {
    if (this.#escaped) this.#escaped = false;
    else if (this.#inString) {
      if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inString = false;
    } else if (byte === QUOTE) this.#inString = true;
    else if (OPENING.has(byte)) this.#depth++;
    else if (CLOSING.has(byte)) return --this.#depth === 0;
    return false;
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#length += part.length;
    if (this.#length > this.#limit)
      throw new JsonStreamError(`a JSON object longer than ${this.#limit} bytes`);
    this.#parts.push(part.slice());
  }

  #take(): unknown {
    const text = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#length = 0;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new JsonStreamError('not a JSON object', { cause });
    }
  }
}

/** A name as the string section holds it, its NUL included. */
export function nameBytes(name: string): Uint8Array {
  return Buffer.from(`${name}\0`, 'latin1');
}

/** A hash table from names to type ids, built when it is first asked. */
export class NameIndex {
  readonly #strings: Uint8Array;
  readonly #count: number;
  /** Where a type's name is; 0 for types that are not looked up by name. */
  readonly #nameOffset: (id: number) => number;
  /** Lowest id of each bucket's chain, 0 for none. */
  #buckets: Uint32Array | undefined;
  /** The next id in the same bucket, 0 at the end; ascending. */
  readonly #next: Uint32Array;

  constructor(strings: Uint8Array, count: number, nameOffset: (id: number) => number) {
    this.#strings = strings;
    this.#count = count;
    this.#nameOffset = nameOffset;
    this.#next = new Uint32Array(count);
  }

  find(name: string): number[] {
    const wanted = nameBytes(name);
    const buckets = this.#build();
    const found: number[] = [];
    let id = buckets[hashName(wanted, 0) & (buckets.length - 1)] ?? 0;
    while (id !== 0) {
      if (this.#nameIs(id, wanted)) found.push(id);
      id = this.#next[id] ?? 0;
    }
    return found;
  }

  #build(): Uint32Array {
    if (this.#buckets !== undefined) return this.#buckets;
    const buckets = new Uint32Array(1 << (32 - Math.clz32(this.#count)));
    const mask = buckets.length - 1;
    for (let id = this.#count - 1; id > 0; id--) {
      const offset = this.#nameOffset(id);
      if (offset === 0) continue;
      const bucket = hashName(this.#strings, offset) & mask;
      this.#next[id] = buckets[bucket] ?? 0;
      buckets[bucket] = id;
    }
    this.#buckets = buckets;
    return buckets;
  }

  #nameIs(id: number, wanted: Uint8Array): boolean {
    const offset = this.#nameOffset(id);
    for (let index = 0; index < wanted.length; index++)
      if (this.#strings[offset + index] !== wanted[index]) return false;
    return true;
  }
}

/** Names that begin with the same so many bytes share a bucket: few do, and each byte costs a millisecond in all. */
const HASHED_BYTES = 10;

/** FNV-1a over the beginning of a NUL-terminated name. */
function hashName(bytes: Uint8Array, offset: number): number {
  let hash = 0x811c9dc5;
  for (let at = offset; at < offset + HASHED_BYTES; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 0) return hash;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash;
}

/** A small seeded generator (xorshift32), so that a failing case can be run again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** 32 bits, unsigned. */
  word(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  chance(share: number): boolean {
    return this.word() < share * 0x1_0000_0000;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.word() >>> 8);
  }

  /** A 64-bit value near the edges that arithmetic is sensitive to, as often as not. */
  value(): bigint {
    switch (this.below(6)) {
      case 0:
        return this.pick([
          0n,
          1n,
          0x7fn,
          0x80n,
          0xffn,
          0x7fffn,
          0x8000n,
          0xffffn,
          0x7fff_ffffn,
          0x8000_0000n,
          0xffff_ffffn,
          0x1_0000_0000n,
          0x7fff_ffff_ffff_ffffn,
          0x8000_0000_0000_0000n,
          0xffff_ffff_ffff_ffffn,
        ]);
      case 1:
        return BigInt(this.below(256));
      case 2:
        return BigInt.asUintN(64, -BigInt(this.below(256)));
      default:
        return (BigInt(this.word()) << 32n) | BigInt(this.word());
    }
  }
}

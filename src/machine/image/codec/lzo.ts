import { copyLiterals, copyMatch, DecompressionError } from './error.ts';

/**
 * Decompresses LZO1X (as `lzo1x_1_compress` makes it: kdump's `-l`) into `output` and returns the number of bytes
 * written. Never writes past `output`; throws a DecompressionError for input that does not fit. The instruction
 * set is that of the kernel's Documentation/staging/lzo.rst.
 */
export function decompressLzo(input: Uint8Array, output: Uint8Array): number {
  return new LzoDecoder(input, output).run();
}

/** How many literals the latest instruction copied decides what an opcode below 16 means; 4 stands for "4 or more". */
type State = 0 | 1 | 2 | 3 | 4;

class LzoDecoder {
  readonly #input: Uint8Array;
  readonly #output: Uint8Array;
  #from = 0;
  #at = 0;
  #state: State = 0;

  constructor(input: Uint8Array, output: Uint8Array) {
    this.#input = input;
    this.#output = output;
  }

  run(): number {
    this.#first();
    for (;;) {
      const opcode = this.#byte();
      if (opcode >= 64) this.#nearMatch(opcode);
      else if (opcode >= 32) this.#middleMatch(opcode);
      else if (opcode >= 16) {
        if (this.#farMatch(opcode)) return this.#at;
      } else if (this.#state === 0) this.#longLiterals(opcode);
      else this.#shortMatch(opcode);
    }
  }

  /** The first byte may be a literal run of its own kind: 18 to 255 stand for 1 to 238 literals. */
  #first(): void {
    const opcode = this.#input[0] ?? 0;
    if (opcode <= 17) return;
    this.#from = 1;
    this.#literals(opcode - 17);
    this.#state = opcode - 17 >= 4 ? 4 : stateOf(opcode - 17);
  }

  #longLiterals(opcode: number): void {
    this.#literals(3 + this.#length(opcode, 15));
    this.#state = 4;
  }

  /** 0000DDSS after literals: 2 bytes from nearby, or 3 bytes from beyond 2 KiB after a long literal run. */
  #shortMatch(opcode: number): void {
    const near = (this.#byte() << 2) + (opcode >>> 2) + 1;
    if (this.#state === 4) this.#match(near + 2048, 3);
    else this.#match(near, 2);
    this.#trailing(opcode);
  }

  /** 01LDDDSS and 1LLDDDSS: 3 to 8 bytes within 2 KiB. */
  #nearMatch(opcode: number): void {
    this.#match((this.#byte() << 3) + ((opcode >>> 2) & 7) + 1, (opcode >>> 5) + 1);
    this.#trailing(opcode);
  }

  /** 001LLLLL: any length within 16 KiB. */
  #middleMatch(opcode: number): void {
    const length = 2 + this.#length(opcode & 31, 31);
    const tail = this.#pair();
    this.#match((tail >>> 2) + 1, length);
    this.#trailing(tail);
  }

  /** 0001HLLL: any length, 16 to 48 KiB back; distance 16 KiB exactly ends the stream. */
  #farMatch(opcode: number): boolean {
    const length = 2 + this.#length(opcode & 7, 7);
    const tail = this.#pair();
    const distance = ((opcode & 8) << 11) + (tail >>> 2);
    if (distance === 0) return true;
    this.#match(distance + 0x4000, length);
    this.#trailing(tail);
    return false;
  }

  /** Every match carries 0 to 3 literals that follow it. */
  #trailing(opcode: number): void {
    this.#state = stateOf(opcode & 3);
    this.#literals(this.#state);
  }

  /** A length field: 0 means `all ones` and more: 255 for each zero byte that follows, then the first other byte. */
  #length(field: number, allOnes: number): number {
    if (field > 0) return field;
    let length = allOnes;
    for (;;) {
      const byte = this.#byte();
      if (byte > 0) return length + byte;
      length += 255;
    }
  }

  #literals(length: number): void {
    copyLiterals(this.#input, this.#from, this.#output, this.#at, length);
    this.#from += length;
    this.#at += length;
  }

  #match(distance: number, length: number): void {
    copyMatch(this.#output, this.#at, distance, length);
    this.#at += length;
  }

  #byte(): number {
    const byte = this.#input[this.#from++];
    if (byte === undefined) throw new DecompressionError('the compressed data ends early');
    return byte;
  }

  #pair(): number {
    const low = this.#byte();
    return low | (this.#byte() << 8);
  }
}

function stateOf(literals: number): State {
  return literals === 1 ? 1 : literals === 2 ? 2 : literals === 3 ? 3 : 0;
}

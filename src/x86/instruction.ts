import { Code, Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction, Mnemonic } from 'iced-x86';
import { type GuestVirtualAddress, gva } from '../memory/address.ts';

/** No instruction is longer (Intel SDM vol. 2A 2.3.11). */
export const MAX_INSTRUCTION = 15;
/** The sealed form of ENDBR64, and the NOP that ftrace patches. */
const SEALED_ENDBR = 4;
const FTRACE_NOP = 5;

/** How wide code is. */
export type CodeBits = 64 | 32;

/** One instruction, as an alert shows it. */
export interface DisassembledInstruction {
  readonly address: GuestVirtualAddress;
  readonly bytes: Uint8Array;
  /** Intel syntax: `mov eax,3Bh`; `(bad)` for bytes that are no instruction. */
  readonly text: string;
}

/** Owns the decoder's and formatter's memory, which lies in WebAssembly and is not collected. */
export class Disassembler implements Disposable {
  readonly #bits: CodeBits;
  readonly #formatter = new Formatter(FormatterSyntax.Intel);
  readonly #instruction = new Instruction();

  constructor(bits: CodeBits = 64) {
    this.#bits = bits;
    this.#formatter.spaceAfterOperandSeparator = false;
  }

  /** The instructions from the first byte on, at most `max`; stops behind the first that is none. */
  disassemble(bytes: Uint8Array, address: GuestVirtualAddress, max: number): DisassembledInstruction[] {
    const decoder = new Decoder(this.#bits, bytes, DecoderOptions.None);
    try {
      decoder.ip = address;
      const instructions: DisassembledInstruction[] = [];
      while (instructions.length < max && decoder.canDecode) {
        const start = decoder.position;
        decoder.decodeOut(this.#instruction);
        const bad = this.#instruction.code === Code.INVALID;
        instructions.push({
          address: gva(address + BigInt(start)),
          bytes: bytes.slice(start, decoder.position),
          text: bad ? '(bad)' : this.#formatter.format(this.#instruction),
        });
        if (bad) break;
      }
      return instructions;
    } finally {
      decoder.free();
    }
  }

  [Symbol.dispose](): void {
    this.#formatter.free();
    this.#instruction.free();
  }
}

/**
 * Bytes at a function's entry that do nothing and may be skipped by whoever stops there: ENDBR64 or what the
 * kernel overwrites it with (a NOP of 4 bytes), then the NOP of 5 bytes that ftrace patches. NOPs behind
 * these may be static branches, which the kernel turns into jumps, so they are not counted. 0 where the
 * function begins with its first real instruction.
 */
export function skipLength(bytes: Uint8Array): number {
  const decoder = new Decoder(64, bytes.subarray(0, 2 * MAX_INSTRUCTION), DecoderOptions.None);
  const instruction = new Instruction();
  try {
    let skip = 0;
    decoder.decodeOut(instruction);
    if (isLandingPad(instruction)) {
      skip = decoder.position;
      decoder.decodeOut(instruction);
    }
    return isNop(instruction) && instruction.length === FTRACE_NOP ? decoder.position : skip;
  } finally {
    instruction.free();
    decoder.free();
  }
}

function isLandingPad(instruction: Instruction): boolean {
  if (instruction.mnemonic === Mnemonic.Endbr64) return true;
  return isNop(instruction) && instruction.length === SEALED_ENDBR;
}

function isNop(instruction: Instruction): boolean {
  return instruction.mnemonic === Mnemonic.Nop;
}

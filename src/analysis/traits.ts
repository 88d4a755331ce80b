import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { gvaOfWords, highWord, lowWord } from '../memory/address.ts';
import type { Cpu } from './emulator/cpu.ts';

const LONGEST_INSTRUCTION = 15;

/** What code did that ordinary code in its place would not. */
export type TraitName =
  | 'nop-sled'
  | 'load-rip'
  | 'write-self'
  | 'syscall'
  | 'stack-string'
  | 'heavens-gate'
  | 'stack-pivot'
  | 'tainted-return'
  | 'decoder-loop'
  | 'received-code';

/** A trait, with the instruction that shows it. */
export interface Trait {
  readonly name: TraitName;
  /** Virtual address of the instruction. */
  readonly address: bigint;
  readonly instruction: string;
  readonly bytes: string;
  /** What exactly was seen. */
  readonly text: string;
}

/** Collects each trait once, at the first instruction that shows it. */
export class TraitList {
  readonly #traits = new Map<TraitName, Trait>();

  get all(): readonly Trait[] {
    return [...this.#traits.values()];
  }

  has(name: TraitName): boolean {
    return this.#traits.has(name);
  }

  /** Notes a trait of the instruction at RIP. */
  add(name: TraitName, cpu: Cpu, text: string, bits = cpu.bits): void {
    if (!this.#traits.has(name)) this.addAt(name, cpu, gvaOfWords(cpu.ripHigh, cpu.ripLow), text, bits);
  }

  /** Notes a trait of the instruction at an address. */
  addAt(name: TraitName, cpu: Cpu, address: bigint, text: string, bits: 32 | 64): void {
    if (this.#traits.has(name)) return;
    const bytes = cpu.memory.peek(highWord(address) | 0, lowWord(address) | 0, LONGEST_INSTRUCTION);
    const { instruction, length } = disassemble(bytes, address, bits);
    const shown = Buffer.from(bytes.subarray(0, length)).toString('hex');
    this.#traits.set(name, { name, address, instruction, bytes: shown, text });
  }
}

/** Made once: setting one up takes longer than formatting hundreds of instructions. */
let formatter: Formatter | undefined;

/** One instruction in NASM's syntax, and its length in bytes. */
export function disassemble(
  bytes: Uint8Array,
  address: bigint,
  bits: 32 | 64,
): { readonly instruction: string; readonly length: number } {
  formatter ??= new Formatter(FormatterSyntax.Nasm);
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  try {
    decoder.ip = address;
    const instruction = decoder.decode();
    try {
      return { instruction: formatter.format(instruction), length: instruction.length };
    } finally {
      instruction.free();
    }
  } finally {
    decoder.free();
  }
}

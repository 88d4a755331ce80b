import { Code, Decoder, DecoderOptions, FlowControl, type Instruction, Mnemonic } from 'iced-x86';
import { TargetError } from '../../errors.ts';
import type { KernelMemory } from '../../linux/kernel-memory.ts';
import type { SymbolTable } from '../../linux/symbols.ts';
import { type GuestVirtualAddress, gva, hex } from '../../memory/address.ts';
import { functionLength } from './function-length.ts';

/** `jmp rel32`. */
export const JUMP_LENGTH = 5;
const MAX_INSTRUCTION = 15;
/** ENDBR64, a 4-byte NOP in its place, the 5-byte one of ftrace, then the instructions to move. */
const WINDOW = 9 + JUMP_LENGTH - 1 + MAX_INSTRUCTION;
const NO_OPERATION = 0x90;

/** The instructions of a function that a detour takes the place of. */
export interface Prologue {
  /** The first of them: behind what ftrace, kprobes and live patches use, so that those go on working. */
  readonly site: GuestVirtualAddress;
  /** Whole instructions, at least {@link JUMP_LENGTH} bytes, that can be executed elsewhere. */
  readonly displaced: Uint8Array;
}

/**
 * Chooses the place of a detour in a function.
 * @throws TargetError with the reason where its first instructions cannot be moved
 */
export function findPrologue(
  memory: KernelMemory,
  symbols: Pick<SymbolTable, 'nearest'>,
  entry: GuestVirtualAddress,
): Prologue {
  const code = memory.readBytes(entry, WINDOW);
  const skipped = leadingNops(code);
  const length = movableLength(code.subarray(skipped));
  const site = gva(entry + BigInt(skipped));
  const prologue = { site, displaced: code.slice(skipped, skipped + length) };
  const branch = branchInto(memory, symbols, entry, prologue);
  if (branch !== undefined)
    throw new TargetError(
      `the branch at ${hex(branch)} leads into the instructions that a detour would move`,
    );
  return prologue;
}

/** What is written over the displaced instructions: a jump, and NOPs up to the next instruction. */
export function jumpTo(prologue: Prologue, target: bigint): Uint8Array {
  const distance = target - (prologue.site + BigInt(JUMP_LENGTH));
  if (BigInt.asIntN(32, distance) !== distance) throw new TargetError('the stub is out of reach of a jump');
  const bytes = Buffer.alloc(prologue.displaced.length, NO_OPERATION);
  bytes[0] = 0xe9;
  bytes.writeInt32LE(Number(distance), 1);
  return bytes;
}

/** Bytes of ENDBR64 and NOPs at the start. */
function leadingNops(code: Uint8Array): number {
  let length = 0;
  for (const instruction of decode(code, 0n)) {
    if (instruction.mnemonic !== Mnemonic.Nop && instruction.code !== Code.Endbr64) break;
    length += instruction.length;
  }
  return length;
}

function movableLength(code: Uint8Array): number {
  let length = 0;
  for (const instruction of decode(code, 0n)) {
    if (length >= JUMP_LENGTH) break;
    const reason = immovable(instruction);
    if (reason !== undefined) throw new TargetError(`its first instructions cannot be moved: ${reason}`);
    length += instruction.length;
  }
  if (length < JUMP_LENGTH)
    throw new TargetError('its first instructions cannot be moved: they are not understood');
  return length;
}

/** Why an instruction must stay where it is; a NOP may be a place that the kernel patches. */
function immovable(instruction: Instruction): string | undefined {
  if (instruction.isInvalid) return 'one is not understood';
  if (instruction.flowControl !== FlowControl.Next) return 'one is a branch, a call or a trap';
  if (instruction.mnemonic === Mnemonic.Nop) return 'one is a NOP, which the kernel may patch';
  return undefined;
}

/** A branch in the function to behind the first displaced byte; undefined when there is none. */
function branchInto(
  memory: KernelMemory,
  symbols: Pick<SymbolTable, 'nearest'>,
  entry: GuestVirtualAddress,
  { site, displaced }: Prologue,
): bigint | undefined {
  const code = memory.readBytes(entry, functionLength(symbols, entry));
  const end = site + BigInt(displaced.length);
  for (const instruction of decode(code, entry)) {
    const target = instruction.nearBranchTarget;
    if (target > site && target < end) return instruction.ip;
  }
  return undefined;
}

function* decode(code: Uint8Array, ip: bigint): Generator<Instruction> {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  decoder.ip = ip;
  try {
    while (decoder.canDecode) {
      const instruction = decoder.decode();
      try {
        yield instruction;
      } finally {
        instruction.free();
      }
    }
  } finally {
    decoder.free();
  }
}

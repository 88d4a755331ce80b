import { Mnemonic } from 'iced-x86';
import { ARITHMETIC } from './arithmetic.ts';
import { BITS } from './bits.ts';
import { BRANCHES } from './branch.ts';
import { FLAG_CONTROL } from './flag-control.ts';
import type { Execute, InstructionGroup, MnemonicName } from './group.ts';
import { LOGIC } from './logic.ts';
import { MULTIPLY } from './multiply.ts';
import { SEGMENTS } from './segments.ts';
import { SHIFT } from './shift.ts';
import { STACK } from './stack.ts';
import { STRING } from './string.ts';
import { SYSTEM } from './system.ts';
import { TRANSFER } from './transfer.ts';
import { VECTOR_GROUPS } from './vector/table.ts';
import { X87 } from './x87.ts';

/** Every instruction that the emulator executes. The decoder, the tests and the documentation read this table. */
export const INSTRUCTION_GROUPS: readonly InstructionGroup[] = [
  TRANSFER,
  ARITHMETIC,
  LOGIC,
  SHIFT,
  BITS,
  MULTIPLY,
  STACK,
  BRANCHES,
  STRING,
  SEGMENTS,
  FLAG_CONTROL,
  SYSTEM,
  X87,
];

/** Instructions on XMM, YMM and MMX registers; MOVSD and CMPSD are names of string instructions too. */
export { VECTOR_GROUPS };

/** Stands where no instruction is; the decoder makes no record that leads here. */
export function nothingToExecute(): void {
  throw new Error('this record is not an instruction');
}

/** The functions that execute, by the number that a record holds; number 0 is no instruction. */
export const HANDLERS: Execute[] = [nothingToExecute];

function numbered(groups: readonly InstructionGroup[]): ReadonlyMap<number, number> {
  const numbers = new Map<number, number>();
  for (const { instructions } of groups) {
    for (const [name, execute] of Object.entries(instructions)) {
      const mnemonic = Mnemonic[name as MnemonicName];
      if (mnemonic === undefined) throw new Error(`${name} is no mnemonic of iced-x86`);
      numbers.set(mnemonic, HANDLERS.push(execute) - 1);
    }
  }
  return numbers;
}

const SCALAR = numbered(INSTRUCTION_GROUPS);
const VECTOR = numbered(VECTOR_GROUPS);

/** The number of the function that executes a mnemonic; 0 when there is none. */
export function handlerNumber(mnemonic: number, onVectors: boolean): number {
  return (onVectors ? undefined : SCALAR.get(mnemonic)) ?? VECTOR.get(mnemonic) ?? 0;
}

import type { Mnemonic } from 'iced-x86';
import type { Cpu } from '../cpu.ts';

/** Executes one decoded instruction, whose record starts at word `at` of `cpu.records`. */
export type Execute = (cpu: Cpu, at: number) => void;

/** A mnemonic as iced-x86 spells it. */
export type MnemonicName = keyof typeof Mnemonic;

/** One family of instructions: a heading for the documentation, and a function a mnemonic. */
export interface InstructionGroup {
  readonly title: string;
  readonly instructions: Readonly<Partial<Record<MnemonicName, Execute>>>;
}

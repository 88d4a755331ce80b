import type { Cpu } from '../cpu.ts';
import { FIRST, SECOND, THIRD } from '../decode/record.ts';
import { setLogic, setResult } from '../flags.ts';
import { operandSize, readOperand, updateOperand, writeOperand } from '../operands.ts';
import type { InstructionGroup } from './group.ts';

function and(cpu: Cpu, at: number, keep: boolean): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const low = readOperand(cpu, at, FIRST) & bLow;
  const high = cpu.highWord & bHigh;
  if (keep) updateOperand(cpu, at, FIRST, low, high);
  setLogic(cpu, operandSize(cpu, at, FIRST), low, high);
}

function or(cpu: Cpu, at: number): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const low = readOperand(cpu, at, FIRST) | bLow;
  const high = cpu.highWord | bHigh;
  updateOperand(cpu, at, FIRST, low, high);
  setLogic(cpu, operandSize(cpu, at, FIRST), low, high);
}

function xor(cpu: Cpu, at: number): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const low = readOperand(cpu, at, FIRST) ^ bLow;
  const high = cpu.highWord ^ bHigh;
  updateOperand(cpu, at, FIRST, low, high);
  setLogic(cpu, operandSize(cpu, at, FIRST), low, high);
}

function not(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, FIRST);
  updateOperand(cpu, at, FIRST, ~low, ~cpu.highWord);
}

/** BMI1: second operand inverted, and the third. */
function andn(cpu: Cpu, at: number): void {
  const bLow = readOperand(cpu, at, THIRD);
  const bHigh = cpu.highWord;
  const low = ~readOperand(cpu, at, SECOND) & bLow;
  const high = ~cpu.highWord & bHigh;
  writeOperand(cpu, at, FIRST, low, high);
  setLogic(cpu, operandSize(cpu, at, FIRST), low, high);
}

/** BLSI, BLSMSK and BLSR differ in how they join x with x - 1 (or its inverse), and in CF. */
function lowestBit(cpu: Cpu, at: number, kind: 'isolate' | 'mask' | 'reset'): void {
  const low = readOperand(cpu, at, SECOND);
  const high = cpu.highWord;
  const size = operandSize(cpu, at, FIRST);
  const lessLow = (low - 1) | 0;
  const lessHigh = low === 0 ? (high - 1) | 0 : high;
  let resultLow = low & lessLow;
  let resultHigh = high & lessHigh;
  if (kind === 'isolate') {
    resultLow = low & ~lessLow;
    resultHigh = high & ~lessHigh;
  } else if (kind === 'mask') {
    resultLow = low ^ lessLow;
    resultHigh = high ^ lessHigh;
  }
  if (size === 4) resultHigh = 0;
  writeOperand(cpu, at, FIRST, resultLow, resultHigh);
  setResult(cpu, size, resultLow, resultHigh);
  const zero = (low | high) === 0;
  cpu.carry = zero !== (kind === 'isolate') ? 1 : 0;
  cpu.overflowWord = 0;
}

export const LOGIC: InstructionGroup = {
  title: 'Logic',
  instructions: {
    And: (cpu, at) => and(cpu, at, true),
    Test: (cpu, at) => and(cpu, at, false),
    Or: or,
    Xor: xor,
    Not: not,
    Andn: andn,
    Blsi: (cpu, at) => lowestBit(cpu, at, 'isolate'),
    Blsmsk: (cpu, at) => lowestBit(cpu, at, 'mask'),
    Blsr: (cpu, at) => lowestBit(cpu, at, 'reset'),
  },
};

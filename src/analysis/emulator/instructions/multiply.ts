import type { Cpu } from '../cpu.ts';
import { FIRST, NONE, SECOND, THIRD } from '../decode/record.ts';
import { setResult } from '../flags.ts';
import {
  operandKind,
  operandSize,
  readOperand,
  readRegister,
  signExtend,
  writeOperand,
  writeRegister,
} from '../operands.ts';
import { RAX, RDX } from '../registers.ts';
import { EmulationStop } from '../stop.ts';
import { divide, multiply, multiplySigned, negatePair, product, quotient, remainder } from '../wide.ts';
import type { InstructionGroup } from './group.ts';

function word(index: number): number {
  return product[index] ?? 0;
}

/** Puts `product` into AX, DX:AX, EDX:EAX or RDX:RAX. */
function writeWide(cpu: Cpu, size: number): void {
  switch (size) {
    case 8:
      cpu.set(RAX, word(0), word(1));
      cpu.set(RDX, word(2), word(3));
      break;
    case 4:
      writeRegister(cpu, RAX, 4, word(0), 0);
      writeRegister(cpu, RDX, 4, word(1), 0);
      break;
    case 2:
      writeRegister(cpu, RAX, 2, word(0), 0);
      writeRegister(cpu, RDX, 2, word(0) >>> 16, 0);
      break;
    default:
      writeRegister(cpu, RAX, 2, word(0), 0);
  }
}

/** CF and OF: whether the upper half says more than the lower; the other flags follow the lower half. */
function setOverflow(cpu: Cpu, size: number, overflow: boolean): void {
  setResult(cpu, size, word(0), word(1));
  cpu.carry = overflow ? 1 : 0;
  cpu.overflowWord = -cpu.carry;
}

function mul(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const low = readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  const accumulator = readRegister(cpu, RAX, size);
  multiply(accumulator, cpu.highWord, low, high);
  writeWide(cpu, size);
  const upper =
    size === 8 ? word(2) | word(3) : size === 4 ? word(1) : size === 2 ? word(0) >>> 16 : word(0) >>> 8;
  setOverflow(cpu, size, upper !== 0);
}

/** Whether the signed product does not fit in `size` bytes. */
function signedOverflow(size: number): boolean {
  if (size === 8) return word(2) !== word(1) >> 31 || word(3) !== word(1) >> 31;
  if (size === 4) return word(1) !== word(0) >> 31;
  const shift = 32 - 8 * size;
  return (word(0) << shift) >> shift !== word(0);
}

/** Multiplies two operands as signed values into `product`. */
function multiplyOperands(cpu: Cpu, at: number, a: number, b: number): void {
  const size = operandSize(cpu, at, a);
  const bRaw = readOperand(cpu, at, b);
  const bLow = signExtend(cpu, operandSize(cpu, at, b), bRaw, cpu.highWord);
  const bHigh = cpu.highWord;
  const aRaw = readOperand(cpu, at, a);
  const aLow = signExtend(cpu, size, aRaw, cpu.highWord);
  multiplySigned(aLow, cpu.highWord, bLow, bHigh);
}

function imul(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  if (operandKind(cpu, at, SECOND) === NONE) {
    const raw = readOperand(cpu, at, FIRST);
    const low = signExtend(cpu, size, raw, cpu.highWord);
    const high = cpu.highWord;
    const accumulator = readRegister(cpu, RAX, size);
    const extended = signExtend(cpu, size, accumulator, cpu.highWord);
    multiplySigned(extended, cpu.highWord, low, high);
    writeWide(cpu, size);
  } else {
    const two = operandKind(cpu, at, THIRD) === NONE;
    multiplyOperands(cpu, at, two ? FIRST : SECOND, two ? SECOND : THIRD);
    writeOperand(cpu, at, FIRST, word(0), word(1));
  }
  setOverflow(cpu, size, signedOverflow(size));
}

/** BMI2: the upper half to the first operand, the lower to the second, no flags. */
function mulx(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const low = readOperand(cpu, at, THIRD);
  const high = cpu.highWord;
  const factor = readRegister(cpu, RDX, size);
  multiply(factor, cpu.highWord, low, high);
  writeOperand(cpu, at, SECOND, word(0), word(1));
  if (size === 8) writeOperand(cpu, at, FIRST, word(2), word(3));
  else writeOperand(cpu, at, FIRST, word(1), 0);
}

function divideError(): never {
  throw new EmulationStop({ kind: 'divide-error' });
}

function writeDivision(cpu: Cpu, size: number): void {
  const quotientLow = quotient[0] ?? 0;
  const remainderLow = remainder[0] ?? 0;
  if (size === 1) {
    writeRegister(cpu, RAX, 2, (quotientLow & 0xff) | ((remainderLow & 0xff) << 8), 0);
    return;
  }
  writeRegister(cpu, RAX, size, quotientLow, quotient[1] ?? 0);
  writeRegister(cpu, RDX, size, remainderLow, remainder[1] ?? 0);
}

function div(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const low = readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  const a = cpu.low(RAX);
  const d = cpu.low(RDX);
  let done: boolean;
  if (size === 8) done = divide(a, cpu.high(RAX), d, cpu.high(RDX), low, high);
  else if (size === 4) done = divide(a, d, 0, 0, low, 0) && quotient[1] === 0;
  else {
    const dividend = size === 2 ? (a & 0xffff) | (d << 16) : a & 0xffff;
    done = divide(dividend, 0, 0, 0, low, 0) && (quotient[0] ?? 0) >>> (8 * size) === 0;
  }
  if (!done) divideError();
  writeDivision(cpu, size);
}

/** The dividend of IDIV as a magnitude of four words, lowest first. */
const magnitude = new Int32Array(4);

function loadDividend(cpu: Cpu, size: number): boolean {
  const a = cpu.low(RAX);
  const d = cpu.low(RDX);
  const narrow = size === 2 ? (a & 0xffff) | (d << 16) : (a << 16) >> 16;
  magnitude[0] = size >= 4 ? a : narrow;
  const sign = (size === 8 ? cpu.high(RDX) : size === 4 ? d : narrow) >> 31;
  magnitude[1] = size === 8 ? cpu.high(RAX) : size === 4 ? d : sign;
  magnitude[2] = size === 8 ? d : sign;
  magnitude[3] = size === 8 ? cpu.high(RDX) : sign;
  if (sign !== 0) {
    let carry = 1;
    for (let i = 0; i < 4; i++) {
      const sum = (~(magnitude[i] ?? 0) >>> 0) + carry;
      magnitude[i] = sum | 0;
      carry = sum > 0xffff_ffff ? 1 : 0;
    }
  }
  return sign !== 0;
}

/** Whether a magnitude fits a signed result of `size` bytes. */
function fits(size: number, negative: boolean): boolean {
  const low = quotient[0] ?? 0;
  const high = quotient[1] ?? 0;
  if (size === 8) return high >= 0 || (negative && high === -0x8000_0000 && low === 0);
  if (high !== 0) return false;
  const limit = 2 ** (8 * size - 1);
  return low >>> 0 < limit || (negative && low >>> 0 === limit);
}

function idiv(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const raw = readOperand(cpu, at, FIRST);
  let low = signExtend(cpu, size, raw, cpu.highWord);
  let high = cpu.highWord;
  const divisorNegative = high < 0;
  if (divisorNegative) {
    high = (~high + (low === 0 ? 1 : 0)) | 0;
    low = -low | 0;
  }
  const dividendNegative = loadDividend(cpu, size);
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = magnitude;
  const negative = dividendNegative !== divisorNegative;
  if (!divide(w0, w1, w2, w3, low, high) || !fits(size, negative)) divideError();
  if (negative) negatePair(quotient);
  if (dividendNegative) negatePair(remainder);
  writeDivision(cpu, size);
}

/** CBW, CWDE, CDQE: sign-extends the lower half of the accumulator to `size` bytes. */
function extendAccumulator(cpu: Cpu, size: 2 | 4 | 8): void {
  const half = size / 2;
  const low = signExtend(cpu, half, readRegister(cpu, RAX, half), 0);
  writeRegister(cpu, RAX, size, low, cpu.highWord);
}

/** CWD, CDQ, CQO: fills RDX with the accumulator's sign. */
function spreadSign(cpu: Cpu, size: 2 | 4 | 8): void {
  const low = cpu.low(RAX);
  const sign = (size === 2 ? low << 16 : size === 4 ? low : cpu.high(RAX)) >> 31;
  writeRegister(cpu, RDX, size, sign, sign);
}

export const MULTIPLY: InstructionGroup = {
  title: 'Multiplication, division and sign extension of the accumulator',
  instructions: {
    Mul: mul,
    Imul: imul,
    Mulx: mulx,
    Div: div,
    Idiv: idiv,
    Cbw: (cpu) => extendAccumulator(cpu, 2),
    Cwde: (cpu) => extendAccumulator(cpu, 4),
    Cdqe: (cpu) => extendAccumulator(cpu, 8),
    Cwd: (cpu) => spreadSign(cpu, 2),
    Cdq: (cpu) => spreadSign(cpu, 4),
    Cqo: (cpu) => spreadSign(cpu, 8),
  },
};

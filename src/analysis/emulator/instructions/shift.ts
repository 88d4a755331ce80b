import type { Cpu } from '../cpu.ts';
import { FIRST, SECOND, THIRD } from '../decode/record.ts';
import { setResult } from '../flags.ts';
import { operandSize, readOperand, updateOperand, writeOperand } from '../operands.ts';
import type { InstructionGroup } from './group.ts';

/** A 64-bit value shifted left by 0 to 63; returns the low word. */
export function shiftLeft(cpu: Cpu, low: number, high: number, count: number): number {
  if (count === 0) {
    cpu.highWord = high;
    return low;
  }
  if (count >= 32) {
    cpu.highWord = low << (count - 32);
    return 0;
  }
  cpu.highWord = (high << count) | (low >>> (32 - count));
  return low << count;
}

/** A 64-bit value shifted right by 0 to 63, with zeroes coming in; returns the low word. */
export function shiftRight(cpu: Cpu, low: number, high: number, count: number): number {
  if (count === 0) {
    cpu.highWord = high;
    return low;
  }
  if (count >= 32) {
    cpu.highWord = 0;
    return (high >>> (count - 32)) | 0;
  }
  cpu.highWord = (high >>> count) | 0;
  return (low >>> count) | (high << (32 - count));
}

/** A 64-bit value shifted right by 0 to 63, with copies of the sign coming in; returns the low word. */
export function shiftRightSigned(cpu: Cpu, low: number, high: number, count: number): number {
  if (count === 0) {
    cpu.highWord = high;
    return low;
  }
  cpu.highWord = count >= 32 ? high >> 31 : high >> count;
  if (count >= 32) return high >> (count - 32);
  return (low >>> count) | (high << (32 - count));
}

/** Bit `index` of a pair. */
export function bitOf(low: number, high: number, index: number): number {
  return index >= 32 ? (high >>> (index - 32)) & 1 : (low >>> index) & 1;
}

/** The count of a shift: five bits, six for 64-bit operands (Intel SDM vol. 2B, SAL/SAR/SHL/SHR). */
function countOf(cpu: Cpu, at: number, operand: number, size: number): number {
  return readOperand(cpu, at, operand) & (size === 8 ? 63 : 31);
}

/** The topmost bit as the sign of a word. */
function signOf(size: number, low: number, high: number): number {
  return size === 8 ? high : low << (32 - 8 * size);
}

function shl(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const count = countOf(cpu, at, SECOND, size);
  const low = readOperand(cpu, at, FIRST);
  if (count === 0) {
    updateOperand(cpu, at, FIRST, low, cpu.highWord);
    return;
  }
  const high = cpu.highWord;
  const shifted = shiftLeft(cpu, low, high, count);
  const shiftedHigh = size === 8 ? cpu.highWord : 0;
  updateOperand(cpu, at, FIRST, shifted, shiftedHigh);
  const width = 8 * size;
  cpu.carry = count <= width ? bitOf(low, high, width - count) : 0;
  setResult(cpu, size, shifted, shiftedHigh);
  cpu.overflowWord = signOf(size, shifted, shiftedHigh) ^ -cpu.carry;
}

function shr(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const count = countOf(cpu, at, SECOND, size);
  const low = readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  if (count === 0) {
    updateOperand(cpu, at, FIRST, low, high);
    return;
  }
  const shifted = shiftRight(cpu, low, high, count);
  const shiftedHigh = cpu.highWord;
  updateOperand(cpu, at, FIRST, shifted, shiftedHigh);
  cpu.carry = bitOf(low, high, count - 1);
  setResult(cpu, size, shifted, shiftedHigh);
  cpu.overflowWord = signOf(size, low, high);
}

function sar(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const count = countOf(cpu, at, SECOND, size);
  const raw = readOperand(cpu, at, FIRST);
  const rawHigh = cpu.highWord;
  if (count === 0) {
    updateOperand(cpu, at, FIRST, raw, rawHigh);
    return;
  }
  const low = size === 8 ? raw : signOf(size, raw, 0) >> (32 - 8 * size);
  const high = size === 8 ? rawHigh : low >> 31;
  const shifted = shiftRightSigned(cpu, low, high, count);
  const shiftedHigh = cpu.highWord;
  updateOperand(cpu, at, FIRST, shifted, shiftedHigh);
  cpu.carry = bitOf(low, high, count - 1);
  setResult(cpu, size, shifted, shiftedHigh);
  cpu.overflowWord = 0;
}

/** A value rotated left within `size` bytes by less than its width; returns the low word. */
export function rotateLeft(cpu: Cpu, size: number, low: number, high: number, count: number): number {
  if (count === 0) {
    cpu.highWord = high;
    return low;
  }
  if (size === 8) {
    const left = shiftLeft(cpu, low, high, count);
    const leftHigh = cpu.highWord;
    const right = shiftRight(cpu, low, high, 64 - count);
    cpu.highWord |= leftHigh;
    return left | right;
  }
  cpu.highWord = 0;
  const width = 8 * size;
  return (low << count) | (low >>> (width - count));
}

function rotate(cpu: Cpu, at: number, left: boolean): void {
  const size = operandSize(cpu, at, FIRST);
  const width = 8 * size;
  const count = countOf(cpu, at, SECOND, size);
  const low = readOperand(cpu, at, FIRST);
  if (count === 0) {
    updateOperand(cpu, at, FIRST, low, cpu.highWord);
    return;
  }
  const steps = count % width;
  const rotated = rotateLeft(cpu, size, low, cpu.highWord, left ? steps : (width - steps) % width);
  const rotatedHigh = cpu.highWord;
  updateOperand(cpu, at, FIRST, rotated, rotatedHigh);
  const sign = signOf(size, rotated, rotatedHigh);
  cpu.carry = left ? rotated & 1 : sign >>> 31;
  cpu.overflowWord = left
    ? sign ^ -cpu.carry
    : sign ^ signOf(size, rotated << 1, (rotatedHigh << 1) | (rotated >>> 31));
}

/** RCL and RCR, a bit at a time: the carry is part of what turns. */
function rotateThroughCarry(cpu: Cpu, at: number, left: boolean): void {
  const size = operandSize(cpu, at, FIRST);
  const width = 8 * size;
  const count = countOf(cpu, at, SECOND, size) % (width + 1);
  let low = readOperand(cpu, at, FIRST);
  let high = cpu.highWord;
  const overflow = left ? undefined : signOf(size, low, high) ^ -cpu.carry;
  for (let i = 0; i < count; i++) {
    const carry = cpu.carry;
    if (left) {
      cpu.carry = signOf(size, low, high) >>> 31;
      high = (high << 1) | (low >>> 31);
      low = (low << 1) | carry;
    } else {
      cpu.carry = low & 1;
      if (size === 8) {
        low = (low >>> 1) | (high << 31);
        high = (high >>> 1) | (carry << 31);
      } else {
        low = (low >>> 1) | (carry << (width - 1));
      }
    }
    if (size < 4) low &= (1 << width) - 1;
  }
  updateOperand(cpu, at, FIRST, low, high);
  if (count !== 0) cpu.overflowWord = overflow ?? signOf(size, low, high) ^ -cpu.carry;
}

/** SHLD and SHRD: the bits that come in are those of the second operand. */
function shiftDouble(cpu: Cpu, at: number, left: boolean): void {
  const size = operandSize(cpu, at, FIRST);
  const width = 8 * size;
  const count = countOf(cpu, at, THIRD, size);
  const fillLow = readOperand(cpu, at, SECOND);
  const fillHigh = cpu.highWord;
  const low = readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  if (count === 0 || count > width) {
    updateOperand(cpu, at, FIRST, low, high);
    return;
  }
  const kept = left ? shiftLeft(cpu, low, high, count) : shiftRight(cpu, low, high, count);
  const keptHigh = cpu.highWord;
  const filled = left
    ? shiftRight(cpu, fillLow, fillHigh, width - count)
    : shiftLeft(cpu, fillLow, fillHigh, width - count);
  const result = kept | filled;
  const resultHigh = keptHigh | cpu.highWord;
  updateOperand(cpu, at, FIRST, result, resultHigh);
  cpu.carry = bitOf(low, high, left ? width - count : count - 1);
  setResult(cpu, size, result, resultHigh);
  cpu.overflowWord = signOf(size, low, high) ^ signOf(size, result, resultHigh);
}

/** BMI2 shifts: no flags, the count in the third operand. */
function shiftWithoutFlags(cpu: Cpu, at: number, kind: 'left' | 'right' | 'signed'): void {
  const size = operandSize(cpu, at, FIRST);
  const count = countOf(cpu, at, THIRD, size);
  const low = readOperand(cpu, at, SECOND);
  const high = size === 8 ? cpu.highWord : kind === 'signed' ? low >> 31 : 0;
  const shift = kind === 'left' ? shiftLeft : kind === 'right' ? shiftRight : shiftRightSigned;
  writeOperand(cpu, at, FIRST, shift(cpu, low, high, count), cpu.highWord);
}

function rorx(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const width = 8 * size;
  const count = countOf(cpu, at, THIRD, size);
  const low = readOperand(cpu, at, SECOND);
  const rotated = rotateLeft(cpu, size, low, cpu.highWord, (width - count) % width);
  writeOperand(cpu, at, FIRST, rotated, cpu.highWord);
}

export const SHIFT: InstructionGroup = {
  title: 'Shifts and rotates',
  instructions: {
    Shl: shl,
    Sal: shl,
    Shr: shr,
    Sar: sar,
    Rol: (cpu, at) => rotate(cpu, at, true),
    Ror: (cpu, at) => rotate(cpu, at, false),
    Rcl: (cpu, at) => rotateThroughCarry(cpu, at, true),
    Rcr: (cpu, at) => rotateThroughCarry(cpu, at, false),
    Shld: (cpu, at) => shiftDouble(cpu, at, true),
    Shrd: (cpu, at) => shiftDouble(cpu, at, false),
    Shlx: (cpu, at) => shiftWithoutFlags(cpu, at, 'left'),
    Shrx: (cpu, at) => shiftWithoutFlags(cpu, at, 'right'),
    Sarx: (cpu, at) => shiftWithoutFlags(cpu, at, 'signed'),
    Rorx: rorx,
  },
};

import type { Cpu } from '../../cpu.ts';
import { FIRST, IS_VEX, LENGTH, MEMORY, MMX, REGISTER, SECOND, THIRD, VECTOR } from '../../decode/record.ts';
import {
  effectiveAddress,
  operandKind,
  operandRegister,
  operandSize,
  readOperand,
  writeRegister,
} from '../../operands.ts';
import { EmulationStop } from '../../stop.ts';

/** A vector of up to 32 bytes, seen as elements of any width. */
export class Lanes {
  readonly u8 = new Uint8Array(32);
  readonly i8 = new Int8Array(this.u8.buffer);
  readonly u16 = new Uint16Array(this.u8.buffer);
  readonly i16 = new Int16Array(this.u8.buffer);
  readonly u32 = new Uint32Array(this.u8.buffer);
  readonly i32 = new Int32Array(this.u8.buffer);

  byte(index: number): number {
    return this.u8[index] ?? 0;
  }

  word(index: number): number {
    return this.i32[index] ?? 0;
  }
}

/** The operands and the result of the instruction at hand; none is kept from one to the next. */
export const left = new Lanes();
export const right = new Lanes();
export const result = new Lanes();

export function isVex(cpu: Cpu, at: number): boolean {
  return (cpu.record(at, LENGTH) & IS_VEX) !== 0;
}

/** Bytes that the instruction works on: the width of its destination. */
export function width(cpu: Cpu, at: number): number {
  return operandSize(cpu, at, FIRST);
}

/** Memory operands of 16 bytes must be aligned unless the encoding is VEX (Intel SDM vol. 1 14.9). */
function checkAlignment(cpu: Cpu, at: number, size: number): void {
  if (size === 16 && !isVex(cpu, at)) requireAligned(cpu, 16);
}

export function requireAligned(cpu: Cpu, size: number): void {
  if ((cpu.addressLow & (size - 1)) !== 0) {
    throw new EmulationStop({ kind: 'protection', what: 'operand not aligned' });
  }
}

/** Reads an operand; the bytes beyond its size are zero. */
export function read(cpu: Cpu, at: number, operand: number, into: Lanes, aligned = true): void {
  const size = operandSize(cpu, at, operand);
  const words = into.i32;
  words.fill(0);
  const register = operandRegister(cpu, at, operand);
  switch (operandKind(cpu, at, operand)) {
    case VECTOR:
      for (let i = 0; i < size >>> 2; i++) words[i] = cpu.vectors[8 * register + i] ?? 0;
      break;
    case MMX:
      words[0] = cpu.mmx[2 * register] ?? 0;
      words[1] = cpu.mmx[2 * register + 1] ?? 0;
      break;
    case MEMORY:
      effectiveAddress(cpu, at);
      if (aligned) checkAlignment(cpu, at, size);
      load(cpu, size, into);
      break;
    default:
      words[0] = readOperand(cpu, at, operand);
      words[1] = cpu.highWord;
  }
}

/** Loads bytes from the effective address. */
export function load(cpu: Cpu, size: number, into: Lanes): void {
  const { memory, addressLow, addressHigh } = cpu;
  if (size < 4) {
    into.i32[0] = size === 2 ? memory.load16(addressHigh, addressLow) : memory.load8(addressHigh, addressLow);
    return;
  }
  for (let i = 0; i < size >>> 2; i++) {
    const low = (addressLow + 4 * i) | 0;
    into.i32[i] = memory.load32(low >= 0 && addressLow < 0 ? (addressHigh + 1) | 0 : addressHigh, low);
  }
}

/** Stores bytes at the effective address. */
export function store(cpu: Cpu, size: number, from: Lanes): void {
  const { memory, addressLow, addressHigh } = cpu;
  if (size < 4) {
    if (size === 2) memory.store16(addressHigh, addressLow, from.word(0));
    else memory.store8(addressHigh, addressLow, from.word(0));
    return;
  }
  for (let i = 0; i < size >>> 2; i++) {
    const low = (addressLow + 4 * i) | 0;
    memory.store32(low >= 0 && addressLow < 0 ? (addressHigh + 1) | 0 : addressHigh, low, from.word(i));
  }
}

/** Writes an operand; a VEX encoding clears what lies above 16 bytes of an XMM register. */
export function write(cpu: Cpu, at: number, operand: number, from: Lanes): void {
  const size = operandSize(cpu, at, operand);
  const register = operandRegister(cpu, at, operand);
  switch (operandKind(cpu, at, operand)) {
    case VECTOR:
      for (let i = 0; i < size >>> 2; i++) cpu.vectors[8 * register + i] = from.word(i);
      if (size === 16 && isVex(cpu, at)) cpu.vectors.fill(0, 8 * register + 4, 8 * register + 8);
      break;
    case MMX:
      cpu.mmx[2 * register] = from.word(0);
      cpu.mmx[2 * register + 1] = from.word(1);
      break;
    case REGISTER:
      writeRegister(cpu, register, size, from.word(0), from.word(1));
      break;
    default:
      effectiveAddress(cpu, at);
      store(cpu, size, from);
  }
}

/** Reads both sources: the destination and the second operand, or with VEX the second and the third. */
export function readPair(cpu: Cpu, at: number): void {
  const shifted = isVex(cpu, at) ? 1 : 0;
  read(cpu, at, FIRST + shifted, left);
  read(cpu, at, SECOND + shifted, right);
}

/** The last vector operand: the second, or with VEX the third. */
export function lastSource(cpu: Cpu, at: number): number {
  return isVex(cpu, at) ? THIRD : SECOND;
}

import type { Cpu } from './cpu.ts';
import {
  ADDRESS_SIZE,
  ADDRESSING,
  BRANCH,
  DISPLACEMENT_HIGH,
  DISPLACEMENT_LOW,
  HIGH_BYTE,
  IMMEDIATE,
  IMMEDIATE_HIGH,
  IMMEDIATE_LOW,
  INSTRUCTION_POINTER,
  MEMORY,
  NO_REGISTER,
  REGISTER,
} from './decode/record.ts';

/** Reading and writing the explicit operands of a decoded instruction, one to eight bytes. */

/** Size in bytes of an operand, by its record word. */
export function operandSize(cpu: Cpu, at: number, operand: number): number {
  return cpu.record(at, operand) >>> 16;
}

export function operandKind(cpu: Cpu, at: number, operand: number): number {
  return cpu.record(at, operand) & 0xff;
}

export function operandRegister(cpu: Cpu, at: number, operand: number): number {
  return (cpu.record(at, operand) >>> 8) & 0xff;
}

/** Works out the address of the memory operand, segment base included. */
export function effectiveAddress(cpu: Cpu, at: number): void {
  offsetAddress(cpu, at);
  const segment = cpu.record(at, ADDRESSING) >>> 24;
  if (segment === NO_REGISTER) return;
  const low = (cpu.addressLow >>> 0) + ((cpu.segmentBases[2 * segment] ?? 0) >>> 0);
  cpu.addressHigh =
    cpu.bits === 64
      ? (cpu.addressHigh + (cpu.segmentBases[2 * segment + 1] ?? 0) + (low > 0xffff_ffff ? 1 : 0)) | 0
      : 0;
  cpu.addressLow = low | 0;
}

/** The address without the segment base: what LEA yields. */
export function offsetAddress(cpu: Cpu, at: number): void {
  const addressing = cpu.record(at, ADDRESSING);
  let low = cpu.record(at, DISPLACEMENT_LOW);
  let high = cpu.record(at, DISPLACEMENT_HIGH);
  const base = addressing & 0xff;
  if (base !== NO_REGISTER) {
    const fromNext = base === INSTRUCTION_POINTER;
    const sum = (low >>> 0) + ((fromNext ? cpu.nextLow : cpu.low(base)) >>> 0);
    high = (high + (fromNext ? cpu.nextHigh : cpu.high(base)) + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    low = sum | 0;
  }
  const index = (addressing >>> 8) & 0xff;
  if (index !== NO_REGISTER) {
    const shift = (addressing >>> 16) & 3;
    const indexLow = cpu.low(index);
    const sum = (low >>> 0) + ((indexLow << shift) >>> 0);
    const indexHigh =
      shift === 0 ? cpu.high(index) : (cpu.high(index) << shift) | (indexLow >>> (32 - shift));
    high = (high + indexHigh + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    low = sum | 0;
  }
  switch (cpu.record(at, ADDRESS_SIZE)) {
    case 8:
      break;
    case 4:
      high = 0;
      break;
    default:
      high = 0;
      low &= 0xffff;
  }
  cpu.addressLow = low;
  cpu.addressHigh = high;
}

/** A general register, zero-extended to 64 bits; returns the low word. */
export function readRegister(cpu: Cpu, register: number, size: number): number {
  const low = cpu.low(register);
  cpu.highWord = 0;
  switch (size) {
    case 8:
      cpu.highWord = cpu.high(register);
      return low;
    case 4:
      return low;
    case 2:
      return low & 0xffff;
    default:
      return low & 0xff;
  }
}

/** Writes a general register; 32 bits clear the upper half, 8 and 16 keep the rest. */
export function writeRegister(cpu: Cpu, register: number, size: number, low: number, high: number): void {
  const general = cpu.general;
  switch (size) {
    case 8:
      general[2 * register] = low;
      general[2 * register + 1] = high;
      break;
    case 4:
      general[2 * register] = low;
      general[2 * register + 1] = 0;
      break;
    case 2:
      general[2 * register] = (cpu.low(register) & ~0xffff) | (low & 0xffff);
      break;
    default:
      general[2 * register] = (cpu.low(register) & ~0xff) | (low & 0xff);
  }
}

/** Loads from `addressHigh:addressLow`, zero-extended. */
export function loadSized(cpu: Cpu, size: number): number {
  const memory = cpu.memory;
  cpu.highWord = 0;
  switch (size) {
    case 8: {
      const low = memory.load64(cpu.addressHigh, cpu.addressLow);
      cpu.highWord = memory.highWord;
      return low;
    }
    case 4:
      return memory.load32(cpu.addressHigh, cpu.addressLow);
    case 2:
      return memory.load16(cpu.addressHigh, cpu.addressLow);
    default:
      return memory.load8(cpu.addressHigh, cpu.addressLow);
  }
}

/** Stores to `addressHigh:addressLow`. */
export function storeSized(cpu: Cpu, size: number, low: number, high: number): void {
  const memory = cpu.memory;
  switch (size) {
    case 8:
      memory.store64(cpu.addressHigh, cpu.addressLow, low, high);
      break;
    case 4:
      memory.store32(cpu.addressHigh, cpu.addressLow, low);
      break;
    case 2:
      memory.store16(cpu.addressHigh, cpu.addressLow, low);
      break;
    default:
      memory.store8(cpu.addressHigh, cpu.addressLow, low);
  }
}

/** An operand's value, zero-extended (immediates are sign-extended to the size first); returns the low word. */
export function readOperand(cpu: Cpu, at: number, operand: number): number {
  const word = cpu.record(at, operand);
  switch (word & 0xff) {
    case REGISTER:
      return readRegister(cpu, (word >>> 8) & 0xff, word >>> 16);
    case MEMORY:
      effectiveAddress(cpu, at);
      return loadSized(cpu, word >>> 16);
    case IMMEDIATE:
    case BRANCH:
      return truncate(cpu, word >>> 16, cpu.record(at, IMMEDIATE_LOW), cpu.record(at, IMMEDIATE_HIGH));
    case HIGH_BYTE:
      cpu.highWord = 0;
      return (cpu.low((word >>> 8) & 0xff) >>> 8) & 0xff;
    default:
      cpu.highWord = 0;
      return cpu.selectors[(word >>> 8) & 0xff] ?? 0;
  }
}

/** Cuts a value to a size; returns the low word. */
export function truncate(cpu: Cpu, size: number, low: number, high: number): number {
  cpu.highWord = size === 8 ? high : 0;
  return size >= 4 ? low : size === 2 ? low & 0xffff : low & 0xff;
}

/** Writes an operand that nothing has read before. */
export function writeOperand(cpu: Cpu, at: number, operand: number, low: number, high: number): void {
  const word = cpu.record(at, operand);
  if ((word & 0xff) === MEMORY) effectiveAddress(cpu, at);
  updateOperand(cpu, at, operand, low, high);
}

/** Writes an operand that was just read, at the address worked out then. */
export function updateOperand(cpu: Cpu, at: number, operand: number, low: number, high: number): void {
  const word = cpu.record(at, operand);
  switch (word & 0xff) {
    case REGISTER:
      writeRegister(cpu, (word >>> 8) & 0xff, word >>> 16, low, high);
      break;
    case MEMORY:
      storeSized(cpu, word >>> 16, low, high);
      break;
    case HIGH_BYTE: {
      const register = (word >>> 8) & 0xff;
      cpu.general[2 * register] = (cpu.low(register) & ~0xff00) | ((low & 0xff) << 8);
      break;
    }
    default:
      cpu.selectors[(word >>> 8) & 0xff] = low;
  }
}

/** Sign-extends a value of `size` bytes to 64 bits; returns the low word. */
export function signExtend(cpu: Cpu, size: number, low: number, high: number): number {
  const word = size === 1 ? (low << 24) >> 24 : size === 2 ? (low << 16) >> 16 : low;
  cpu.highWord = size === 8 ? high : word >> 31;
  return word;
}

import type { Cpu } from '../cpu.ts';
import { FIRST, MEMORY, REGISTER, SECOND, THIRD } from '../decode/record.ts';
import { setLogic, setResult } from '../flags.ts';
import {
  effectiveAddress,
  loadSized,
  operandKind,
  operandSize,
  readOperand,
  signExtend,
  storeSized,
  updateOperand,
  writeOperand,
} from '../operands.ts';
import type { InstructionGroup } from './group.ts';
import { bitOf, shiftLeft, shiftRight } from './shift.ts';

type BitChange = 'keep' | 'set' | 'reset' | 'complement';

function changed(word: number, bit: number, change: BitChange): number {
  switch (change) {
    case 'set':
      return word | bit;
    case 'reset':
      return word & ~bit;
    case 'complement':
      return word ^ bit;
    default:
      return word;
  }
}

/**
 * BT and its kin. With a register as bit number and memory as bit string, the number reaches beyond the
 * operand: it is signed, and counts from the operand's address (Intel SDM vol. 2A 3.1.1.9).
 */
function bitTest(cpu: Cpu, at: number, change: BitChange): void {
  const size = operandSize(cpu, at, FIRST);
  const width = 8 * size;
  const indexLow = readOperand(cpu, at, SECOND);
  const indexHigh = cpu.highWord;
  const bit = indexLow & (width - 1);
  let low: number;
  if (operandKind(cpu, at, FIRST) === MEMORY && operandKind(cpu, at, SECOND) === REGISTER) {
    effectiveAddress(cpu, at);
    moveToElement(cpu, size, indexLow, indexHigh);
    low = loadSized(cpu, size);
  } else {
    low = readOperand(cpu, at, FIRST);
  }
  const high = cpu.highWord;
  cpu.carry = bitOf(low, high, bit);
  if (change === 'keep') return;
  const newLow = bit < 32 ? changed(low, 1 << bit, change) : low;
  const newHigh = bit < 32 ? high : changed(high, 1 << (bit - 32), change);
  updateOperand(cpu, at, FIRST, newLow, newHigh);
}

/** Moves the address to the element of a bit string that holds a bit. */
function moveToElement(cpu: Cpu, size: number, indexLow: number, indexHigh: number): void {
  const low = signExtend(cpu, size, indexLow, indexHigh);
  const high = cpu.highWord;
  const bytes = (((low >>> 3) | (high << 29)) & -size) | 0;
  const sum = (cpu.addressLow >>> 0) + (bytes >>> 0);
  cpu.addressHigh = cpu.bits === 64 ? (cpu.addressHigh + (high >> 3) + (sum > 0xffff_ffff ? 1 : 0)) | 0 : 0;
  cpu.addressLow = sum | 0;
}

function trailingZeroes(low: number, high: number): number {
  return low !== 0 ? 31 - Math.clz32(low & -low) : 63 - Math.clz32(high & -high);
}

function leadingZeroes(low: number, high: number): number {
  return high !== 0 ? Math.clz32(high) : 32 + Math.clz32(low);
}

/** BSF and BSR leave the destination alone when the source is zero, as every CPU does. */
function scan(cpu: Cpu, at: number, forward: boolean): void {
  const low = readOperand(cpu, at, SECOND);
  const high = cpu.highWord;
  cpu.zeroWord = low | high;
  if (cpu.zeroWord === 0) return;
  const bit = forward ? trailingZeroes(low, high) : 63 - leadingZeroes(low, high);
  writeOperand(cpu, at, FIRST, bit, 0);
}

/** TZCNT and LZCNT: the operand's width for zero, which sets CF. */
function countZeroes(cpu: Cpu, at: number, trailing: boolean): void {
  const width = 8 * operandSize(cpu, at, FIRST);
  const low = readOperand(cpu, at, SECOND);
  const high = cpu.highWord;
  const zero = (low | high) === 0;
  let count = width;
  if (!zero) count = trailing ? trailingZeroes(low, high) : leadingZeroes(low, high) - (64 - width);
  writeOperand(cpu, at, FIRST, count, 0);
  cpu.carry = zero ? 1 : 0;
  cpu.zeroWord = count;
}

function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function popcnt(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, SECOND);
  const count = ones(low) + ones(cpu.highWord);
  writeOperand(cpu, at, FIRST, count, 0);
  setLogic(cpu, 4, count, 0);
  cpu.parityByte = 1;
}

/** BMI1: `length` bits from `start` on. */
function bextr(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const control = readOperand(cpu, at, THIRD);
  const low = readOperand(cpu, at, SECOND);
  const high = cpu.highWord;
  const start = control & 0xff;
  const length = (control >>> 8) & 0xff;
  const shifted = start > 63 ? 0 : shiftRight(cpu, low, high, start);
  const shiftedHigh = start > 63 ? 0 : cpu.highWord;
  writeLowBits(cpu, at, size, shifted, shiftedHigh, length);
  cpu.carry = 0;
  cpu.overflowWord = 0;
}

/** BMI2: clears the bits from `index` on. */
function bzhi(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const index = readOperand(cpu, at, THIRD) & 0xff;
  const low = readOperand(cpu, at, SECOND);
  writeLowBits(cpu, at, size, low, cpu.highWord, index);
  cpu.carry = index >= 8 * size ? 1 : 0;
  cpu.overflowWord = 0;
}

function writeLowBits(cpu: Cpu, at: number, size: number, low: number, high: number, count: number): void {
  let maskLow = -1;
  let maskHigh = -1;
  if (count < 64) {
    const bit = shiftLeft(cpu, 1, 0, count);
    maskLow = (bit - 1) | 0;
    maskHigh = bit === 0 ? (cpu.highWord - 1) | 0 : 0;
  }
  writeOperand(cpu, at, FIRST, low & maskLow, high & maskHigh);
  setResult(cpu, size, low & maskLow, high & maskHigh);
}

/** BMI2: gathers the bits under a mask (PEXT) or spreads bits over one (PDEP). */
function parallel(cpu: Cpu, at: number, deposit: boolean): void {
  const maskLow = readOperand(cpu, at, THIRD);
  const maskHigh = cpu.highWord;
  const low = readOperand(cpu, at, SECOND);
  const high = cpu.highWord;
  let resultLow = 0;
  let resultHigh = 0;
  let next = 0;
  for (let bit = 0; bit < 64; bit++) {
    if (bitOf(maskLow, maskHigh, bit) === 0) continue;
    const from = deposit ? next : bit;
    const to = deposit ? bit : next;
    if (to < 32) resultLow |= bitOf(low, high, from) << to;
    else resultHigh |= bitOf(low, high, from) << (to - 32);
    next++;
  }
  writeOperand(cpu, at, FIRST, resultLow, resultHigh);
}

function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function writeSwapped(cpu: Cpu, at: number, low: number, high: number): void {
  const size = operandSize(cpu, at, FIRST);
  if (size === 8) writeOperand(cpu, at, FIRST, swapBytes(high), swapBytes(low));
  else writeOperand(cpu, at, FIRST, size === 4 ? swapBytes(low) : swapBytes(low) >>> 16, 0);
}

/** With a 16-bit register the result is undefined; CPUs give zero. */
function bswap(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, FIRST);
  if (operandSize(cpu, at, FIRST) === 2) writeOperand(cpu, at, FIRST, 0, 0);
  else writeSwapped(cpu, at, low, cpu.highWord);
}

function movbe(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, SECOND);
  writeSwapped(cpu, at, low, cpu.highWord);
}

const CRC32C = 0x82f6_3b78;

/** SSE4.2: CRC-32C, reflected. */
function crc32(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, SECOND);
  let low = readOperand(cpu, at, SECOND);
  let high = cpu.highWord;
  let crc = readOperand(cpu, at, FIRST);
  for (let i = 0; i < size; i++) {
    crc ^= low & 0xff;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (CRC32C & -(crc & 1));
    low = (low >>> 8) | (high << 24);
    high >>>= 8;
  }
  writeOperand(cpu, at, FIRST, crc, 0);
}

/** MOVDIRI and MOVNTI: plain stores here. */
function storeDirect(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, SECOND);
  const high = cpu.highWord;
  effectiveAddress(cpu, at);
  storeSized(cpu, operandSize(cpu, at, FIRST), low, high);
}

export const BITS: InstructionGroup = {
  title: 'Bit tests, scans and counts, byte order, checksums',
  instructions: {
    Bt: (cpu, at) => bitTest(cpu, at, 'keep'),
    Bts: (cpu, at) => bitTest(cpu, at, 'set'),
    Btr: (cpu, at) => bitTest(cpu, at, 'reset'),
    Btc: (cpu, at) => bitTest(cpu, at, 'complement'),
    Bsf: (cpu, at) => scan(cpu, at, true),
    Bsr: (cpu, at) => scan(cpu, at, false),
    Tzcnt: (cpu, at) => countZeroes(cpu, at, true),
    Lzcnt: (cpu, at) => countZeroes(cpu, at, false),
    Popcnt: popcnt,
    Bextr: bextr,
    Bzhi: bzhi,
    Pdep: (cpu, at) => parallel(cpu, at, true),
    Pext: (cpu, at) => parallel(cpu, at, false),
    Bswap: bswap,
    Movbe: movbe,
    Crc32: crc32,
    Movnti: storeDirect,
    Movdiri: storeDirect,
  },
};

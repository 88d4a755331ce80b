import type { Cpu } from './cpu.ts';
import { AC, AF, CF, DF, ID, IF, NT, OF, PF, SF, TF, ZF } from './registers.ts';

/**
 * Lazy flags: arithmetic leaves the words that decide a flag, and only who asks works the flag out. Operands
 * and results are (low, high) pairs; those narrower than 64 bits are zero-extended.
 */

const OTHER_FLAGS = TF | NT | AC | ID;

/** ZF, SF and PF from a result. */
export function setResult(cpu: Cpu, size: number, low: number, high: number): void {
  cpu.parityByte = low & 0xff;
  switch (size) {
    case 8:
      cpu.zeroWord = low | high;
      cpu.signWord = high;
      break;
    case 4:
      cpu.zeroWord = low;
      cpu.signWord = low;
      break;
    case 2:
      cpu.zeroWord = low & 0xffff;
      cpu.signWord = low << 16;
      break;
    default:
      cpu.zeroWord = low & 0xff;
      cpu.signWord = low << 24;
  }
}

/** The flags after AND, OR, XOR and TEST: CF, OF and AF clear. */
export function setLogic(cpu: Cpu, size: number, low: number, high: number): void {
  setResult(cpu, size, low, high);
  cpu.carry = 0;
  cpu.overflowWord = 0;
  cpu.adjustWord = 0;
}

/** a + b + carry (0 or 1) with all six flags; returns the low word. */
export function addWithFlags(
  cpu: Cpu,
  size: number,
  aLow: number,
  aHigh: number,
  bLow: number,
  bHigh: number,
  carry: number,
): number {
  let sum: number;
  let high = 0;
  if (size >= 4) {
    const wide = (aLow >>> 0) + (bLow >>> 0) + carry;
    sum = wide | 0;
    cpu.carry = wide > 0xffff_ffff ? 1 : 0;
    cpu.overflowWord = (aLow ^ sum) & (bLow ^ sum);
    if (size === 8) {
      const upper = (aHigh >>> 0) + (bHigh >>> 0) + cpu.carry;
      high = upper | 0;
      cpu.carry = upper > 0xffff_ffff ? 1 : 0;
      cpu.overflowWord = (aHigh ^ high) & (bHigh ^ high);
    }
  } else {
    const wide = aLow + bLow + carry;
    const width = 8 * size;
    sum = wide & ((1 << width) - 1);
    cpu.carry = wide >>> width;
    cpu.overflowWord = ((aLow ^ sum) & (bLow ^ sum)) << (32 - width);
  }
  cpu.adjustWord = aLow ^ bLow ^ sum;
  setResult(cpu, size, sum, high);
  cpu.highWord = high;
  return sum;
}

/** a - b - borrow (0 or 1) with all six flags; returns the low word. */
export function subtractWithFlags(
  cpu: Cpu,
  size: number,
  aLow: number,
  aHigh: number,
  bLow: number,
  bHigh: number,
  borrow: number,
): number {
  let difference: number;
  let high = 0;
  if (size >= 4) {
    const wide = (aLow >>> 0) - (bLow >>> 0) - borrow;
    difference = wide | 0;
    cpu.carry = wide < 0 ? 1 : 0;
    cpu.overflowWord = (aLow ^ bLow) & (aLow ^ difference);
    if (size === 8) {
      const upper = (aHigh >>> 0) - (bHigh >>> 0) - cpu.carry;
      high = upper | 0;
      cpu.carry = upper < 0 ? 1 : 0;
      cpu.overflowWord = (aHigh ^ bHigh) & (aHigh ^ high);
    }
  } else {
    const wide = aLow - bLow - borrow;
    const width = 8 * size;
    difference = wide & ((1 << width) - 1);
    cpu.carry = wide < 0 ? 1 : 0;
    cpu.overflowWord = ((aLow ^ bLow) & (aLow ^ difference)) << (32 - width);
  }
  cpu.adjustWord = aLow ^ bLow ^ difference;
  setResult(cpu, size, difference, high);
  cpu.highWord = high;
  return difference;
}

/** Whether the low byte has an even number of ones. */
function parity(cpu: Cpu): boolean {
  let bits = cpu.parityByte ^ (cpu.parityByte >> 4);
  bits ^= bits >> 2;
  bits ^= bits >> 1;
  return (bits & 1) === 0;
}

/** A condition by its number in the opcode (Intel SDM vol. 1 appendix B): 0 is O, 1 NO, ... 15 G. */
export function condition(cpu: Cpu, code: number): boolean {
  switch (code) {
    case 0:
      return cpu.overflowWord < 0;
    case 1:
      return cpu.overflowWord >= 0;
    case 2:
      return cpu.carry !== 0;
    case 3:
      return cpu.carry === 0;
    case 4:
      return cpu.zeroWord === 0;
    case 5:
      return cpu.zeroWord !== 0;
    case 6:
      return cpu.carry !== 0 || cpu.zeroWord === 0;
    case 7:
      return cpu.carry === 0 && cpu.zeroWord !== 0;
    case 8:
      return cpu.signWord < 0;
    case 9:
      return cpu.signWord >= 0;
    case 10:
      return parity(cpu);
    case 11:
      return !parity(cpu);
    case 12:
      return (cpu.signWord ^ cpu.overflowWord) < 0;
    case 13:
      return (cpu.signWord ^ cpu.overflowWord) >= 0;
    case 14:
      return cpu.zeroWord === 0 || (cpu.signWord ^ cpu.overflowWord) < 0;
    default:
      return cpu.zeroWord !== 0 && (cpu.signWord ^ cpu.overflowWord) >= 0;
  }
}

/** RFLAGS as PUSHF sees it: bit 1 and IF are always set. */
export function packFlags(cpu: Cpu): number {
  return (
    0x2 |
    IF |
    cpu.otherFlags |
    (cpu.carry !== 0 ? CF : 0) |
    (parity(cpu) ? PF : 0) |
    (cpu.adjustWord & AF) |
    (cpu.zeroWord === 0 ? ZF : 0) |
    (cpu.signWord < 0 ? SF : 0) |
    (cpu.direction < 0 ? DF : 0) |
    (cpu.overflowWord < 0 ? OF : 0)
  );
}

/** SF, ZF, AF, PF and CF from the low byte of RFLAGS, as SAHF takes them. */
export function unpackLowFlags(cpu: Cpu, flags: number): void {
  cpu.carry = flags & CF;
  cpu.parityByte = (flags & PF) !== 0 ? 0 : 1;
  cpu.adjustWord = flags & AF;
  cpu.zeroWord = (flags & ZF) ^ ZF;
  cpu.signWord = (flags & SF) !== 0 ? -1 : 0;
}

/** All flags that user mode can change. */
export function unpackFlags(cpu: Cpu, flags: number): void {
  unpackLowFlags(cpu, flags);
  cpu.direction = (flags & DF) !== 0 ? -1 : 1;
  cpu.overflowWord = (flags & OF) !== 0 ? -1 : 0;
  cpu.otherFlags = flags & OTHER_FLAGS;
}

import type { Cpu } from '../cpu.ts';
import { FIRST, MEMORY, SECOND } from '../decode/record.ts';
import { addWithFlags, subtractWithFlags } from '../flags.ts';
import {
  effectiveAddress,
  operandKind,
  operandSize,
  readOperand,
  updateOperand,
  writeRegister,
} from '../operands.ts';
import { RAX, RBX, RCX, RDX } from '../registers.ts';
import { EmulationStop } from '../stop.ts';
import type { InstructionGroup } from './group.ts';

function addTo(cpu: Cpu, at: number, carry: number): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const aLow = readOperand(cpu, at, FIRST);
  const sum = addWithFlags(cpu, operandSize(cpu, at, FIRST), aLow, cpu.highWord, bLow, bHigh, carry);
  updateOperand(cpu, at, FIRST, sum, cpu.highWord);
}

function subtractFrom(cpu: Cpu, at: number, borrow: number, keep: boolean): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const aLow = readOperand(cpu, at, FIRST);
  const size = operandSize(cpu, at, FIRST);
  const difference = subtractWithFlags(cpu, size, aLow, cpu.highWord, bLow, bHigh, borrow);
  if (keep) updateOperand(cpu, at, FIRST, difference, cpu.highWord);
}

function inc(cpu: Cpu, at: number): void {
  const carry = cpu.carry;
  const low = readOperand(cpu, at, FIRST);
  const sum = addWithFlags(cpu, operandSize(cpu, at, FIRST), low, cpu.highWord, 1, 0, 0);
  cpu.carry = carry;
  updateOperand(cpu, at, FIRST, sum, cpu.highWord);
}

function dec(cpu: Cpu, at: number): void {
  const carry = cpu.carry;
  const low = readOperand(cpu, at, FIRST);
  const difference = subtractWithFlags(cpu, operandSize(cpu, at, FIRST), low, cpu.highWord, 1, 0, 0);
  cpu.carry = carry;
  updateOperand(cpu, at, FIRST, difference, cpu.highWord);
}

function neg(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, FIRST);
  const difference = subtractWithFlags(cpu, operandSize(cpu, at, FIRST), 0, 0, low, cpu.highWord, 0);
  updateOperand(cpu, at, FIRST, difference, cpu.highWord);
}

/** Adds with a carry that is neither read from nor written to the other flags; returns the carry out. */
function addKeepingFlags(cpu: Cpu, at: number, carry: number): number {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const aLow = readOperand(cpu, at, FIRST);
  const low = (aLow >>> 0) + (bLow >>> 0) + carry;
  const lowCarry = low > 0xffff_ffff ? 1 : 0;
  const high = (cpu.highWord >>> 0) + (bHigh >>> 0) + lowCarry;
  updateOperand(cpu, at, FIRST, low | 0, high | 0);
  return operandSize(cpu, at, FIRST) === 8 ? (high > 0xffff_ffff ? 1 : 0) : lowCarry;
}

function adcx(cpu: Cpu, at: number): void {
  cpu.carry = addKeepingFlags(cpu, at, cpu.carry);
}

function adox(cpu: Cpu, at: number): void {
  cpu.overflowWord = -addKeepingFlags(cpu, at, cpu.overflowWord < 0 ? 1 : 0);
}

function xadd(cpu: Cpu, at: number): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const aLow = readOperand(cpu, at, FIRST);
  const aHigh = cpu.highWord;
  const sum = addWithFlags(cpu, operandSize(cpu, at, FIRST), aLow, aHigh, bLow, bHigh, 0);
  const sumHigh = cpu.highWord;
  if (operandKind(cpu, at, FIRST) !== MEMORY) {
    updateOperand(cpu, at, SECOND, aLow, aHigh);
    updateOperand(cpu, at, FIRST, sum, sumHigh);
  } else {
    updateOperand(cpu, at, FIRST, sum, sumHigh);
    updateOperand(cpu, at, SECOND, aLow, aHigh);
  }
}

function cmpxchg(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const newLow = readOperand(cpu, at, SECOND);
  const newHigh = cpu.highWord;
  const oldLow = readOperand(cpu, at, FIRST);
  const oldHigh = cpu.highWord;
  const mask = size === 1 ? 0xff : size === 2 ? 0xffff : -1;
  subtractWithFlags(cpu, size, cpu.low(RAX) & mask, size === 8 ? cpu.high(RAX) : 0, oldLow, oldHigh, 0);
  if (cpu.zeroWord === 0) {
    updateOperand(cpu, at, FIRST, newLow, newHigh);
  } else {
    writeRegister(cpu, RAX, size, oldLow, oldHigh);
  }
}

function cmpxchg8b(cpu: Cpu, at: number): void {
  const low = readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  if (low === cpu.low(RAX) && high === cpu.low(RDX)) {
    cpu.zeroWord = 0;
    updateOperand(cpu, at, FIRST, cpu.low(RBX), cpu.low(RCX));
  } else {
    cpu.zeroWord = 1;
    updateOperand(cpu, at, FIRST, low, high);
    writeRegister(cpu, RAX, 4, low, 0);
    writeRegister(cpu, RDX, 4, high, 0);
  }
}

// ZF stands alone in CMPXCHG8B and CMPXCHG16B; SF and PF live in their own words, so that nothing else changes.
function cmpxchg16b(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  const { memory, addressLow, addressHigh } = cpu;
  if ((addressLow & 15) !== 0) throw new EmulationStop({ kind: 'protection', what: 'operand not aligned' });
  const upperLow = (addressLow + 8) | 0;
  const upperHigh = upperLow >= 0 && addressLow < 0 ? (addressHigh + 1) | 0 : addressHigh;
  const a = memory.load64(addressHigh, addressLow);
  const b = memory.highWord;
  const c = memory.load64(upperHigh, upperLow);
  const d = memory.highWord;
  const equal = a === cpu.low(RAX) && b === cpu.high(RAX) && c === cpu.low(RDX) && d === cpu.high(RDX);
  cpu.zeroWord = equal ? 0 : 1;
  if (equal) {
    memory.store64(addressHigh, addressLow, cpu.low(RBX), cpu.high(RBX));
    memory.store64(upperHigh, upperLow, cpu.low(RCX), cpu.high(RCX));
  } else {
    cpu.set(RAX, a, b);
    cpu.set(RDX, c, d);
  }
}

function xchg(cpu: Cpu, at: number): void {
  const bLow = readOperand(cpu, at, SECOND);
  const bHigh = cpu.highWord;
  const aLow = readOperand(cpu, at, FIRST);
  const aHigh = cpu.highWord;
  updateOperand(cpu, at, FIRST, bLow, bHigh);
  updateOperand(cpu, at, SECOND, aLow, aHigh);
}

export const ARITHMETIC: InstructionGroup = {
  title: 'Addition, subtraction, comparison and exchange',
  instructions: {
    Add: (cpu, at) => addTo(cpu, at, 0),
    Adc: (cpu, at) => addTo(cpu, at, cpu.carry),
    Sub: (cpu, at) => subtractFrom(cpu, at, 0, true),
    Sbb: (cpu, at) => subtractFrom(cpu, at, cpu.carry, true),
    Cmp: (cpu, at) => subtractFrom(cpu, at, 0, false),
    Inc: inc,
    Dec: dec,
    Neg: neg,
    Adcx: adcx,
    Adox: adox,
    Xadd: xadd,
    Xchg: xchg,
    Cmpxchg: cmpxchg,
    Cmpxchg8b: cmpxchg8b,
    Cmpxchg16b: cmpxchg16b,
  },
};

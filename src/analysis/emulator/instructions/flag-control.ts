import type { Cpu } from '../cpu.ts';
import { IMMEDIATE_LOW } from '../decode/record.ts';
import { packFlags, setResult, unpackLowFlags } from '../flags.ts';
import { AF, RAX } from '../registers.ts';
import { EmulationStop } from '../stop.ts';
import type { InstructionGroup } from './group.ts';

function al(cpu: Cpu): number {
  return cpu.low(RAX) & 0xff;
}

function setAl(cpu: Cpu, value: number): void {
  cpu.general[2 * RAX] = (cpu.low(RAX) & ~0xff) | (value & 0xff);
}

function setAx(cpu: Cpu, value: number): void {
  cpu.general[2 * RAX] = (cpu.low(RAX) & ~0xffff) | (value & 0xffff);
}

function lahf(cpu: Cpu): void {
  setAx(cpu, al(cpu) | ((packFlags(cpu) & 0xff) << 8));
}

function sahf(cpu: Cpu): void {
  unpackLowFlags(cpu, (cpu.low(RAX) >>> 8) & 0xff);
}

/** DAA and DAS (Intel SDM vol. 2A): decimal adjustment of AL after a packed addition or subtraction. */
function adjustDecimal(cpu: Cpu, sign: 1 | -1): void {
  const before = al(cpu);
  const carry = cpu.carry;
  let value = before;
  const low = (before & 0xf) > 9 || (cpu.adjustWord & AF) !== 0;
  if (low) {
    value += 6 * sign;
    cpu.carry = carry !== 0 || value < 0 || value > 0xff ? 1 : 0;
  }
  const high = before > 0x99 || carry !== 0;
  if (high) value += 0x60 * sign;
  if (high) cpu.carry = 1;
  else if (sign === 1 || !low) cpu.carry = 0;
  cpu.adjustWord = low ? AF : 0;
  setAl(cpu, value);
  setResult(cpu, 1, value & 0xff, 0);
}

/** AAA and AAS: unpacked decimal, AH takes the carry. */
function adjustAscii(cpu: Cpu, sign: 1 | -1): void {
  const adjust = (cpu.low(RAX) & 0xf) > 9 || (cpu.adjustWord & AF) !== 0;
  if (adjust) setAx(cpu, (cpu.low(RAX) & 0xffff) + sign * 0x106);
  cpu.carry = adjust ? 1 : 0;
  cpu.adjustWord = adjust ? AF : 0;
  setAl(cpu, cpu.low(RAX) & 0xf);
}

function aam(cpu: Cpu, at: number): void {
  const base = cpu.record(at, IMMEDIATE_LOW) & 0xff;
  if (base === 0) throw new EmulationStop({ kind: 'divide-error' });
  const value = al(cpu);
  setAx(cpu, (Math.floor(value / base) << 8) | (value % base));
  setResult(cpu, 1, value % base, 0);
}

function aad(cpu: Cpu, at: number): void {
  const base = cpu.record(at, IMMEDIATE_LOW) & 0xff;
  const value = (al(cpu) + ((cpu.low(RAX) >>> 8) & 0xff) * base) & 0xff;
  setAx(cpu, value);
  setResult(cpu, 1, value, 0);
}

export const FLAG_CONTROL: InstructionGroup = {
  title: 'Flags and decimal adjustment',
  instructions: {
    Clc: (cpu) => {
      cpu.carry = 0;
    },
    Stc: (cpu) => {
      cpu.carry = 1;
    },
    Cmc: (cpu) => {
      cpu.carry ^= 1;
    },
    Cld: (cpu) => {
      cpu.direction = 1;
    },
    Std: (cpu) => {
      cpu.direction = -1;
    },
    Lahf: lahf,
    Sahf: sahf,
    Salc: (cpu) => setAl(cpu, -cpu.carry),
    Daa: (cpu) => adjustDecimal(cpu, 1),
    Das: (cpu) => adjustDecimal(cpu, -1),
    Aaa: (cpu) => adjustAscii(cpu, 1),
    Aas: (cpu) => adjustAscii(cpu, -1),
    Aam: aam,
    Aad: aad,
  },
};

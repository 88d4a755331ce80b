import type { Cpu } from '../cpu.ts';
import { CODE, FIRST, IMMEDIATE_LOW, SEGMENT } from '../decode/record.ts';
import { packFlags, unpackFlags } from '../flags.ts';
import { operandKind, operandRegister, operandSize, readOperand, writeOperand } from '../operands.ts';
import { IF, RBP, RSP } from '../registers.ts';
import { checkDataSelector } from '../selectors.ts';
import type { Execute, InstructionGroup } from './group.ts';

/** RSP moved by a distance in bytes, within the mode's width. */
export function moveStack(cpu: Cpu, distance: number): void {
  const low = (cpu.low(RSP) >>> 0) + distance;
  const high = cpu.bits === 64 ? (cpu.high(RSP) + Math.floor(low / 0x1_0000_0000)) | 0 : 0;
  cpu.set(RSP, low | 0, high);
}

/** Pushes 2, 4 or 8 bytes; RSP changes only once the store has succeeded. */
export function push(cpu: Cpu, size: number, low: number, high: number): void {
  const address = (cpu.low(RSP) >>> 0) - size;
  cpu.addressLow = address | 0;
  cpu.addressHigh = cpu.bits === 64 ? (cpu.high(RSP) - (address < 0 ? 1 : 0)) | 0 : 0;
  const memory = cpu.memory;
  if (size === 8) memory.store64(cpu.addressHigh, cpu.addressLow, low, high);
  else if (size === 4) memory.store32(cpu.addressHigh, cpu.addressLow, low);
  else memory.store16(cpu.addressHigh, cpu.addressLow, low);
  cpu.set(RSP, cpu.addressLow, cpu.addressHigh);
}

/** Pops 2, 4 or 8 bytes; returns the low word. */
export function pop(cpu: Cpu, size: number): number {
  const memory = cpu.memory;
  const low = cpu.low(RSP);
  const high = cpu.high(RSP);
  let value: number;
  let valueHigh = 0;
  if (size === 8) {
    value = memory.load64(high, low);
    valueHigh = memory.highWord;
  } else {
    value = size === 4 ? memory.load32(high, low) : memory.load16(high, low);
  }
  moveStack(cpu, size);
  cpu.highWord = valueHigh;
  return value;
}

/** A segment selector pushed with 32 bits changes only the lower half of its slot (Intel SDM vol. 2B, PUSH). */
function pushOperand(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const low = readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  if (operandKind(cpu, at, FIRST) !== SEGMENT || size === 2) {
    push(cpu, size, low, high);
    return;
  }
  pushSelector(cpu, size, low);
}

function pushSelector(cpu: Cpu, size: number, selector: number): void {
  const slotLow = (cpu.low(RSP) - size) | 0;
  const upper = size === 4 ? cpu.memory.load32(0, slotLow) & ~0xffff : 0;
  push(cpu, size, upper | selector, 0);
}

/** The address of a memory destination is worked out after RSP has moved (Intel SDM vol. 2B, POP). */
function popOperand(cpu: Cpu, at: number): void {
  const low = pop(cpu, operandSize(cpu, at, FIRST));
  if (operandKind(cpu, at, FIRST) === SEGMENT) {
    checkDataSelector(operandRegister(cpu, at, FIRST), low & 0xffff);
  }
  writeOperand(cpu, at, FIRST, low, cpu.highWord);
}

function pushFlags(size: number): Execute {
  return (cpu) => push(cpu, size, packFlags(cpu), 0);
}

function popFlags(size: number): Execute {
  return (cpu) => {
    const low = pop(cpu, size);
    unpackFlags(cpu, size === 2 ? (low & 0xffff) | (packFlags(cpu) & ~0xffff & ~IF) : low);
  };
}

/** EAX, ECX, EDX, EBX, the old ESP, EBP, ESI, EDI. */
function pushAll(size: number): Execute {
  return (cpu) => {
    const stackPointer = cpu.low(RSP);
    for (let register = 0; register < 8; register++) {
      push(cpu, size, register === RSP ? stackPointer : cpu.low(register), 0);
    }
  };
}

function popAll(size: number): Execute {
  return (cpu) => {
    for (let register = 7; register >= 0; register--) {
      const low = pop(cpu, size);
      if (register === RSP) continue;
      cpu.general[2 * register] = size === 2 ? (cpu.low(register) & ~0xffff) | low : low;
    }
  };
}

function enter(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const bytes = cpu.record(at, IMMEDIATE_LOW) & 0xffff;
  const level = (cpu.record(at, CODE) >>> 16) & 31;
  push(cpu, size, cpu.low(RBP), cpu.high(RBP));
  const frameLow = cpu.low(RSP);
  const frameHigh = cpu.high(RSP);
  for (let i = 1; i < level; i++) pushFrameLink(cpu, size, i);
  if (level > 0) push(cpu, size, frameLow, frameHigh);
  if (size === 2) cpu.general[2 * RBP] = (cpu.low(RBP) & ~0xffff) | (frameLow & 0xffff);
  else cpu.set(RBP, frameLow, frameHigh);
  moveStack(cpu, -bytes);
}

/** Copies the frame pointer of an enclosing level, `index` slots below RBP. */
function pushFrameLink(cpu: Cpu, size: number, index: number): void {
  const low = (cpu.low(RBP) >>> 0) - index * size;
  const high = cpu.bits === 64 ? (cpu.high(RBP) - (low < 0 ? 1 : 0)) | 0 : 0;
  const memory = cpu.memory;
  if (size === 8) {
    const value = memory.load64(high, low | 0);
    push(cpu, size, value, memory.highWord);
  } else {
    push(cpu, size, size === 4 ? memory.load32(high, low | 0) : memory.load16(high, low | 0), 0);
  }
}

function leave(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  cpu.set(RSP, cpu.low(RBP), cpu.high(RBP));
  const low = pop(cpu, size);
  if (size === 2) cpu.general[2 * RBP] = (cpu.low(RBP) & ~0xffff) | (low & 0xffff);
  else cpu.set(RBP, low, cpu.highWord);
}

export const STACK: InstructionGroup = {
  title: 'Stack',
  instructions: {
    Push: pushOperand,
    Pop: popOperand,
    Pushf: pushFlags(2),
    Pushfd: pushFlags(4),
    Pushfq: pushFlags(8),
    Popf: popFlags(2),
    Popfd: popFlags(4),
    Popfq: popFlags(8),
    Pusha: pushAll(2),
    Pushad: pushAll(4),
    Popa: popAll(2),
    Popad: popAll(4),
    Enter: enter,
    Leave: leave,
  },
};

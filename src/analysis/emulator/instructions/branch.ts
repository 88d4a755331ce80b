import type { Cpu } from '../cpu.ts';
import {
  ADDRESS_SIZE,
  BRANCH,
  CODE,
  FAR_MEMORY,
  FIRST,
  IMMEDIATE_HIGH,
  IMMEDIATE_LOW,
} from '../decode/record.ts';
import { condition, unpackFlags } from '../flags.ts';
import { fourfold, RETURN_ADDRESS } from '../memory/marks.ts';
import {
  effectiveAddress,
  operandKind,
  operandSize,
  readOperand,
  readRegister,
  writeRegister,
} from '../operands.ts';
import { CS, RCX, SS, USER_CS, USER32_CS } from '../registers.ts';
import { EmulationStop } from '../stop.ts';
import type { Execute, InstructionGroup, MnemonicName } from './group.ts';
import { moveStack, pop, push } from './stack.ts';

/** Takes a relative branch; those with a 16-bit operand cut the address to 16 bits. */
function branch(cpu: Cpu, at: number): void {
  const low = (cpu.nextLow >>> 0) + (cpu.record(at, IMMEDIATE_LOW) >>> 0);
  const high = (cpu.nextHigh + cpu.record(at, IMMEDIATE_HIGH) + (low > 0xffff_ffff ? 1 : 0)) | 0;
  if (operandSize(cpu, at, FIRST) === 2) cpu.goTo(low & 0xffff, 0);
  else cpu.goTo(low | 0, high);
}

function jmp(cpu: Cpu, at: number): void {
  if (operandKind(cpu, at, FIRST) === BRANCH) {
    branch(cpu, at);
    return;
  }
  if (isFar(cpu, at)) {
    farBranch(cpu, at, false);
    return;
  }
  const low = readOperand(cpu, at, FIRST);
  cpu.goTo(low, cpu.highWord);
}

/** Pushes the return address and marks it: who reads it other than by RET learns where the code lies. */
function call(cpu: Cpu, at: number): void {
  if (isFar(cpu, at)) {
    farBranch(cpu, at, true);
    return;
  }
  const relative = operandKind(cpu, at, FIRST) === BRANCH;
  const low = relative ? 0 : readOperand(cpu, at, FIRST);
  const high = cpu.highWord;
  const memory = cpu.memory;
  const mark = memory.storeMark;
  memory.storeMark = mark | fourfold(RETURN_ADDRESS);
  push(cpu, operandSize(cpu, at, FIRST), cpu.nextLow, cpu.nextHigh);
  memory.storeMark = mark;
  if (relative) branch(cpu, at);
  else cpu.goTo(low, high);
}

function ret(cpu: Cpu, at: number): void {
  const low = pop(cpu, operandSize(cpu, at, FIRST));
  cpu.goTo(low, cpu.highWord);
  moveStack(cpu, cpu.record(at, IMMEDIATE_LOW) & 0xffff);
}

function isFar(cpu: Cpu, at: number): boolean {
  return operandKind(cpu, at, FIRST) >= FAR_MEMORY;
}

function farBranch(cpu: Cpu, at: number, isCall: boolean): void {
  let low = cpu.record(at, IMMEDIATE_LOW);
  let high = 0;
  let selector = cpu.record(at, CODE) >>> 16;
  const size = operandSize(cpu, at, FIRST);
  if (operandKind(cpu, at, FIRST) === FAR_MEMORY) {
    ({ low, high, selector } = loadFarPointer(cpu, at, size));
  }
  checkSelector(selector);
  if (isCall) {
    push(cpu, size, cpu.selectors[CS] ?? 0, 0);
    push(cpu, size, cpu.nextLow, cpu.nextHigh);
  }
  enterSegment(cpu, selector, low, high);
}

function loadFarPointer(cpu: Cpu, at: number, size: number): { low: number; high: number; selector: number } {
  effectiveAddress(cpu, at);
  const { memory, addressHigh, addressLow } = cpu;
  let low: number;
  let high = 0;
  if (size === 8) {
    low = memory.load64(addressHigh, addressLow);
    high = memory.highWord;
  } else {
    low = size === 4 ? memory.load32(addressHigh, addressLow) : memory.load16(addressHigh, addressLow);
  }
  const behind = (addressLow + size) | 0;
  const selector = memory.load16(behind >= 0 && addressLow < 0 ? (addressHigh + 1) | 0 : addressHigh, behind);
  return { low, high, selector };
}

/** Only Linux's two user code segments can be branched to. */
function checkSelector(selector: number): void {
  if (selector !== USER_CS && selector !== USER32_CS) throw new EmulationStop({ kind: 'selector', selector });
}

function enterSegment(cpu: Cpu, selector: number, low: number, high: number): void {
  cpu.setMode(selector === USER_CS ? 64 : 32);
  cpu.goTo(low, high);
}

function retf(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const low = pop(cpu, size);
  const high = cpu.highWord;
  const selector = pop(cpu, size) & 0xffff;
  checkSelector(selector);
  moveStack(cpu, cpu.record(at, IMMEDIATE_LOW) & 0xffff);
  enterSegment(cpu, selector, low, high);
}

/** Between user segments: the stack is restored in 64-bit mode only (Intel SDM vol. 2A, IRET). */
function iret(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  const fromLong = cpu.bits === 64;
  const low = pop(cpu, size);
  const high = cpu.highWord;
  const selector = pop(cpu, size) & 0xffff;
  const flags = pop(cpu, size);
  checkSelector(selector);
  if (fromLong) {
    const stackLow = pop(cpu, size);
    const stackHigh = cpu.highWord;
    cpu.selectors[SS] = pop(cpu, size);
    writeRegister(cpu, 4, 8, stackLow, stackHigh);
  }
  unpackFlags(cpu, flags);
  enterSegment(cpu, selector, low, high);
}

function jcc(code: number): Execute {
  return (cpu, at) => {
    if (condition(cpu, code)) branch(cpu, at);
  };
}

/** RCX, ECX or CX, by the address size, counted down; returns whether it is zero now. */
function countDown(cpu: Cpu, size: number): boolean {
  const low = readRegister(cpu, RCX, size);
  const high = low === 0 ? (cpu.highWord - 1) | 0 : cpu.highWord;
  const less = (low - 1) | 0;
  writeRegister(cpu, RCX, size, less, high);
  return size === 8 ? (less | high) === 0 : size === 4 ? less === 0 : (less & 0xffff) === 0;
}

function loop(cpu: Cpu, at: number): void {
  if (!countDown(cpu, cpu.record(at, ADDRESS_SIZE))) branch(cpu, at);
}

function loope(cpu: Cpu, at: number): void {
  if (!countDown(cpu, cpu.record(at, ADDRESS_SIZE)) && cpu.zeroWord === 0) branch(cpu, at);
}

function loopne(cpu: Cpu, at: number): void {
  if (!countDown(cpu, cpu.record(at, ADDRESS_SIZE)) && cpu.zeroWord !== 0) branch(cpu, at);
}

function jumpIfCountZero(cpu: Cpu, at: number): void {
  const low = readRegister(cpu, RCX, cpu.record(at, ADDRESS_SIZE));
  if ((low | cpu.highWord) === 0) branch(cpu, at);
}

const JCC: readonly MnemonicName[] = [
  'Jo',
  'Jno',
  'Jb',
  'Jae',
  'Je',
  'Jne',
  'Jbe',
  'Ja',
  'Js',
  'Jns',
  'Jp',
  'Jnp',
  'Jl',
  'Jge',
  'Jle',
  'Jg',
];

export const BRANCHES: InstructionGroup = {
  title: 'Branches, calls and loops, near and far',
  instructions: {
    Jmp: jmp,
    Call: call,
    Ret: ret,
    Retf: retf,
    Iretd: iret,
    Iretq: iret,
    ...Object.fromEntries(JCC.map((name, code) => [name, jcc(code)])),
    Loop: loop,
    Loope: loope,
    Loopne: loopne,
    Jcxz: jumpIfCountZero,
    Jecxz: jumpIfCountZero,
    Jrcxz: jumpIfCountZero,
  },
};

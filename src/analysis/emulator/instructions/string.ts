import type { Cpu } from '../cpu.ts';
import { ADDRESS_SIZE, ADDRESSING, FIRST, IS_REP, IS_REPNE, LENGTH, NO_REGISTER } from '../decode/record.ts';
import { subtractWithFlags } from '../flags.ts';
import { loadSized, operandSize, readRegister, storeSized, writeRegister } from '../operands.ts';
import { RAX, RCX, RDI, RSI } from '../registers.ts';
import type { Execute, InstructionGroup } from './group.ts';

/**
 * String instructions do one element a step. A repeated one stays where it is until its count has run down, so
 * that each iteration costs one instruction of the budget, as it can be interrupted after each on a CPU.
 */
function repeated(step: Execute, compares: boolean): Execute {
  return (cpu, at) => {
    const flags = cpu.record(at, LENGTH);
    if ((flags & (IS_REP | IS_REPNE)) === 0) {
      step(cpu, at);
      return;
    }
    const size = cpu.record(at, ADDRESS_SIZE);
    const low = readRegister(cpu, RCX, size);
    const high = cpu.highWord;
    if ((low | high) === 0) return;
    step(cpu, at);
    const left = (low - 1) | 0;
    const leftHigh = low === 0 ? (high - 1) | 0 : high;
    writeRegister(cpu, RCX, size, left, leftHigh);
    const ended = compares && (cpu.zeroWord === 0) === ((flags & IS_REPNE) !== 0);
    if ((left | leftHigh) !== 0 && !ended) cpu.goTo(cpu.ripLow, cpu.ripHigh);
  };
}

/** Points the address at RSI, in its segment. */
function atSource(cpu: Cpu, at: number): void {
  cpu.addressLow = readRegister(cpu, RSI, cpu.record(at, ADDRESS_SIZE));
  cpu.addressHigh = cpu.highWord;
  const segment = cpu.record(at, ADDRESSING) >>> 24;
  if (segment === NO_REGISTER) return;
  const low = (cpu.addressLow >>> 0) + ((cpu.segmentBases[2 * segment] ?? 0) >>> 0);
  const high = cpu.addressHigh + (cpu.segmentBases[2 * segment + 1] ?? 0) + (low > 0xffff_ffff ? 1 : 0);
  cpu.addressLow = low | 0;
  cpu.addressHigh = cpu.bits === 64 ? high | 0 : 0;
}

/** Points the address at RDI; its segment is always ES. */
function atDestination(cpu: Cpu, at: number): void {
  cpu.addressLow = readRegister(cpu, RDI, cpu.record(at, ADDRESS_SIZE));
  cpu.addressHigh = cpu.highWord;
}

/** Moves RSI or RDI by one element, up or down. */
function advance(cpu: Cpu, at: number, register: number): void {
  const size = cpu.record(at, ADDRESS_SIZE);
  const distance = cpu.direction * operandSize(cpu, at, FIRST);
  const low = (readRegister(cpu, register, size) >>> 0) + distance;
  writeRegister(cpu, register, size, low | 0, (cpu.highWord + Math.floor(low / 0x1_0000_0000)) | 0);
}

function movs(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  atSource(cpu, at);
  const low = loadSized(cpu, size);
  const high = cpu.highWord;
  atDestination(cpu, at);
  storeSized(cpu, size, low, high);
  advance(cpu, at, RSI);
  advance(cpu, at, RDI);
}

function stos(cpu: Cpu, at: number): void {
  atDestination(cpu, at);
  storeSized(cpu, operandSize(cpu, at, FIRST), cpu.low(RAX), cpu.high(RAX));
  advance(cpu, at, RDI);
}

function lods(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  atSource(cpu, at);
  const low = loadSized(cpu, size);
  writeRegister(cpu, RAX, size, low, cpu.highWord);
  advance(cpu, at, RSI);
}

function scas(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  atDestination(cpu, at);
  const bLow = loadSized(cpu, size);
  const bHigh = cpu.highWord;
  const aLow = readRegister(cpu, RAX, size);
  subtractWithFlags(cpu, size, aLow, cpu.highWord, bLow, bHigh, 0);
  advance(cpu, at, RDI);
}

function cmps(cpu: Cpu, at: number): void {
  const size = operandSize(cpu, at, FIRST);
  atDestination(cpu, at);
  const bLow = loadSized(cpu, size);
  const bHigh = cpu.highWord;
  atSource(cpu, at);
  const aLow = loadSized(cpu, size);
  subtractWithFlags(cpu, size, aLow, cpu.highWord, bLow, bHigh, 0);
  advance(cpu, at, RSI);
  advance(cpu, at, RDI);
}

const move = repeated(movs, false);
const store = repeated(stos, false);
const load = repeated(lods, false);
const scan = repeated(scas, true);
const compare = repeated(cmps, true);

export const STRING: InstructionGroup = {
  title: 'String instructions, with REP',
  instructions: {
    Movsb: move,
    Movsw: move,
    Movsd: move,
    Movsq: move,
    Stosb: store,
    Stosw: store,
    Stosd: store,
    Stosq: store,
    Lodsb: load,
    Lodsw: load,
    Lodsd: load,
    Lodsq: load,
    Scasb: scan,
    Scasw: scan,
    Scasd: scan,
    Scasq: scan,
    Cmpsb: compare,
    Cmpsw: compare,
    Cmpsd: compare,
    Cmpsq: compare,
  },
};

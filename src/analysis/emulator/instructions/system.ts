import type { Cpu } from '../cpu.ts';
import { FIRST, IMMEDIATE_LOW } from '../decode/record.ts';
import { packFlags } from '../flags.ts';
import { operandSize, readOperand, writeOperand } from '../operands.ts';
import { FS, GS, R11, RAX, RBX, RCX, RDX } from '../registers.ts';
import { EmulationStop } from '../stop.ts';
import type { InstructionGroup } from './group.ts';

/** SYSCALL keeps the return address in RCX and the flags in R11 (Intel SDM vol. 2B). */
function syscall(cpu: Cpu): void {
  if (cpu.bits === 64) {
    cpu.set(RCX, cpu.nextLow, cpu.nextHigh);
    cpu.set(R11, packFlags(cpu), 0);
  }
  cpu.kernelEntry = 'syscall';
}

/** Vector 0x80 is Linux's system call from either mode; any other raises a signal. */
function int(cpu: Cpu, at: number): void {
  const vector = cpu.record(at, IMMEDIATE_LOW) & 0xff;
  if (vector !== 0x80) throw new EmulationStop({ kind: 'interrupt', vector });
  cpu.kernelEntry = 'int 0x80';
}

/**
 * The leaves that code asks for: the vendor, and the features that this emulator has (SSE2 to SSE4.2, AVX, AVX2,
 * BMI1, BMI2, ADX).
 */
const CPUID_LEAVES: Readonly<Record<number, readonly [number, number, number, number]>> = {
  0: [7, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
  1: [0x000c_06f2, 0x0001_0800, 0x1c98_2203, 0x0789_8111],
  7: [0, 0x0008_0128, 0, 0],
  2147483648: [0x8000_0008 | 0, 0, 0, 0],
  2147483649: [0, 0, 0x21, 0x2010_0800],
};

function cpuid(cpu: Cpu): void {
  const [eax, ebx, ecx, edx] = CPUID_LEAVES[cpu.low(RAX) >>> 0] ?? [0, 0, 0, 0];
  cpu.set(RAX, eax, 0);
  cpu.set(RBX, ebx, 0);
  cpu.set(RCX, ecx, 0);
  cpu.set(RDX, edx, 0);
}

/** Cycles a instruction takes here, so that delays measured by code look like those of a CPU. */
const CYCLES = 4;

function rdtsc(cpu: Cpu): void {
  const cycles = 0x10_0000_0000 + cpu.executed * CYCLES;
  cpu.set(RAX, cycles | 0, 0);
  cpu.set(RDX, Math.floor(cycles / 0x1_0000_0000), 0);
}

function rdtscp(cpu: Cpu): void {
  rdtsc(cpu);
  cpu.set(RCX, 0, 0);
}

/** XCR0: x87, SSE and AVX state. */
function xgetbv(cpu: Cpu): void {
  cpu.set(RAX, 7, 0);
  cpu.set(RDX, 0, 0);
}

function readBase(cpu: Cpu, at: number, segment: number): void {
  const size = operandSize(cpu, at, FIRST);
  const high = size === 8 ? (cpu.segmentBases[2 * segment + 1] ?? 0) : 0;
  writeOperand(cpu, at, FIRST, cpu.segmentBases[2 * segment] ?? 0, high);
}

function writeBase(cpu: Cpu, at: number, segment: number): void {
  cpu.segmentBases[2 * segment] = readOperand(cpu, at, FIRST);
  cpu.segmentBases[2 * segment + 1] = cpu.highWord;
}

/** A pseudo-random value that depends on nothing but the number of instructions executed; CF says that it is ready. */
function random(cpu: Cpu, at: number): void {
  const low = Math.imul(cpu.executed + 1, 0x9e37_79b1);
  writeOperand(cpu, at, FIRST, low, Math.imul(low ^ (low >>> 15), 0x85eb_ca6b));
  cpu.carry = 1;
  cpu.overflowWord = 0;
  cpu.signWord = 0;
  cpu.zeroWord = 1;
  cpu.parityByte = 1;
  cpu.adjustWord = 0;
}

function nothing(): void {
  // Hints, fences and prefetches change nothing that code can see.
}

export const SYSTEM: InstructionGroup = {
  title: 'System calls, processor identification, hints and fences',
  instructions: {
    Syscall: syscall,
    Sysenter: (cpu) => {
      cpu.kernelEntry = 'sysenter';
    },
    Int: int,
    Int1: () => {
      throw new EmulationStop({ kind: 'interrupt', vector: 1 });
    },
    Int3: () => {
      throw new EmulationStop({ kind: 'interrupt', vector: 3 });
    },
    Into: (cpu) => {
      if (cpu.overflowWord < 0) throw new EmulationStop({ kind: 'interrupt', vector: 4 });
    },
    Ud2: () => {
      throw new EmulationStop({ kind: 'invalid' });
    },
    Ud1: () => {
      throw new EmulationStop({ kind: 'invalid' });
    },
    Ud0: () => {
      throw new EmulationStop({ kind: 'invalid' });
    },
    Cpuid: cpuid,
    Rdtsc: rdtsc,
    Rdtscp: rdtscp,
    Xgetbv: xgetbv,
    Rdrand: random,
    Rdseed: random,
    Rdpid: (cpu, at) => writeOperand(cpu, at, FIRST, 0, 0),
    Rdfsbase: (cpu, at) => readBase(cpu, at, FS),
    Rdgsbase: (cpu, at) => readBase(cpu, at, GS),
    Wrfsbase: (cpu, at) => writeBase(cpu, at, FS),
    Wrgsbase: (cpu, at) => writeBase(cpu, at, GS),
    Rdsspd: nothing,
    Rdsspq: nothing,
    Xtest: (cpu) => {
      cpu.zeroWord = cpu.carry = cpu.overflowWord = cpu.signWord = cpu.adjustWord = 0;
      cpu.parityByte = 1;
    },
    Nop: nothing,
    Reservednop: nothing,
    Pause: nothing,
    Endbr32: nothing,
    Endbr64: nothing,
    Lfence: nothing,
    Mfence: nothing,
    Sfence: nothing,
    Serialize: nothing,
    Clflush: nothing,
    Clflushopt: nothing,
    Clwb: nothing,
    Cldemote: nothing,
    Prefetch: nothing,
    Prefetchw: nothing,
    Prefetchwt1: nothing,
    Prefetchnta: nothing,
    Prefetcht0: nothing,
    Prefetcht1: nothing,
    Prefetcht2: nothing,
    Prefetchit0: nothing,
    Prefetchit1: nothing,
  },
};

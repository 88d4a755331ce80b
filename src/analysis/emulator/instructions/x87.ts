import type { Cpu } from '../cpu.ts';
import { FIRST, MEMORY } from '../decode/record.ts';
import { FPU_ADDRESS, fourfold } from '../memory/marks.ts';
import { effectiveAddress, operandKind, operandSize, storeSized } from '../operands.ts';
import { RAX } from '../registers.ts';
import type { Execute, InstructionGroup, MnemonicName } from './group.ts';

/**
 * The x87 unit as far as position-independent code uses it: every non-control instruction leaves its address
 * behind, and FNSTENV, FNSAVE and FXSAVE store that address (Intel SDM vol. 1 8.1.8). Numbers are not computed.
 */
function remember(cpu: Cpu): void {
  cpu.fpuLow = cpu.ripLow;
  cpu.fpuHigh = cpu.ripHigh;
}

/** A load only remembers where it stands, yet its operand must be readable. */
function touch(cpu: Cpu, at: number): void {
  remember(cpu);
  if (operandKind(cpu, at, FIRST) !== MEMORY) return;
  effectiveAddress(cpu, at);
  cpu.memory.lookup(cpu.addressHigh, cpu.addressLow, 'read');
}

function storeWords(cpu: Cpu, words: readonly number[], addressWord: number): void {
  const { memory, addressLow, addressHigh } = cpu;
  const mark = memory.storeMark;
  words.forEach((word, index) => {
    const low = (addressLow + 4 * index) | 0;
    memory.storeMark = index === addressWord ? mark | fourfold(FPU_ADDRESS) : mark;
    memory.store32(low >= 0 && addressLow < 0 ? (addressHigh + 1) | 0 : addressHigh, low, word);
  });
  memory.storeMark = mark;
}

/** The 28 bytes of the 32-bit protected-mode environment: the instruction address lies at +0xC. */
function fnstenv(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  const { fpuControl, fpuLow } = cpu;
  storeWords(cpu, [fpuControl | (0xffff << 16), 0xffff << 16, -1, fpuLow, 0, 0, 0xffff << 16], 3);
}

function fnsave(cpu: Cpu, at: number): void {
  fnstenv(cpu, at);
  cpu.fpuControl = 0x37f;
  cpu.fpuLow = cpu.fpuHigh = 0;
}

/** The head of the 512 bytes: the instruction address lies at +8, 64 bits wide with REX.W (FXSAVE64). */
function fxsave(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  const { fpuControl, fpuLow, fpuHigh, mxcsr } = cpu;
  storeWords(cpu, [fpuControl, 0, fpuLow, fpuHigh, 0, 0, mxcsr, 0xffff], 2);
  const low = (cpu.addressLow + 160) | 0;
  const high = low >= 0 && cpu.addressLow < 0 ? (cpu.addressHigh + 1) | 0 : cpu.addressHigh;
  for (let word = 0; word < (cpu.bits === 64 ? 64 : 32); word++) {
    cpu.memory.store32(high, (low + 4 * word) | 0, cpu.vectors[(word >> 2) * 8 + (word & 3)] ?? 0);
  }
}

function fnstcw(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  storeSized(cpu, 2, cpu.fpuControl, 0);
}

function fldcw(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  cpu.fpuControl = cpu.memory.load16(cpu.addressHigh, cpu.addressLow);
}

function fnstsw(cpu: Cpu, at: number): void {
  if (operandKind(cpu, at, FIRST) !== MEMORY) {
    cpu.general[2 * RAX] = cpu.low(RAX) & ~0xffff;
    return;
  }
  effectiveAddress(cpu, at);
  storeSized(cpu, operandSize(cpu, at, FIRST), 0, 0);
}

function stmxcsr(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  storeSized(cpu, 4, cpu.mxcsr, 0);
}

function ldmxcsr(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  cpu.mxcsr = cpu.memory.load32(cpu.addressHigh, cpu.addressLow);
}

function reset(cpu: Cpu): void {
  cpu.fpuControl = 0x37f;
  cpu.fpuLow = cpu.fpuHigh = 0;
}

/** Instructions that compute on the register stack only. */
const REMEMBERED: readonly MnemonicName[] = [
  'Fldz',
  'Fld1',
  'Fldpi',
  'Fldl2e',
  'Fldl2t',
  'Fldlg2',
  'Fldln2',
  'Fabs',
  'Fchs',
  'Fxch',
  'Ftst',
  'Fxam',
  'Fnop',
  'Fincstp',
  'Fdecstp',
  'Ffree',
  'Fcmovb',
  'Fcmove',
  'Fcmovbe',
  'Fcmovu',
  'Fcmovnb',
  'Fcmovne',
  'Fcmovnbe',
  'Fcmovnu',
  'Fsqrt',
  'Fsin',
  'Fcos',
  'Frndint',
  'Faddp',
  'Fsubp',
  'Fmulp',
  'Fdivp',
];

/** Instructions whose operand may lie in memory, which is read. */
const TOUCHED: readonly MnemonicName[] = [
  'Fld',
  'Fild',
  'Fadd',
  'Fsub',
  'Fsubr',
  'Fmul',
  'Fdiv',
  'Fdivr',
  'Fiadd',
  'Fimul',
  'Fisub',
];

function named(names: readonly MnemonicName[], execute: Execute): Partial<Record<MnemonicName, Execute>> {
  return Object.fromEntries(names.map((name) => [name, execute]));
}

export const X87: InstructionGroup = {
  title: 'x87, as far as it gives code its own address, and the state words',
  instructions: {
    ...named(REMEMBERED, remember),
    ...named(TOUCHED, touch),
    Fnstenv: fnstenv,
    Fstenv: fnstenv,
    Fnsave: fnsave,
    Fsave: fnsave,
    Fxsave: fxsave,
    Fxsave64: fxsave,
    Fnstcw: fnstcw,
    Fstcw: fnstcw,
    Fldcw: fldcw,
    Fnstsw: fnstsw,
    Fstsw: fnstsw,
    Fninit: reset,
    Finit: reset,
    Fnclex: () => {},
    Fclex: () => {},
    Wait: () => {},
    Emms: () => {},
    Stmxcsr: stmxcsr,
    Vstmxcsr: stmxcsr,
    Ldmxcsr: ldmxcsr,
    Vldmxcsr: ldmxcsr,
  },
};

import type { AddressSpace } from './memory/address-space.ts';
import { DS, ES, SS, USER_CS, USER_DS, USER32_CS } from './registers.ts';

/** How code entered the kernel: the instruction decides which system-call table applies. */
export type KernelEntry = 'syscall' | 'sysenter' | 'int 0x80';

/**
 * The user-visible state of one x86 CPU. 64-bit registers are pairs of signed 32-bit words. A function that
 * yields a 64-bit value returns its low word and leaves the high word in `highWord`.
 *
 * Flags are kept as the words from which they are read when somebody asks (see `flags.ts`).
 */
export class Cpu {
  /** Low word of register r at 2r, high word at 2r + 1. */
  readonly general = new Int32Array(32);
  /** Sixteen YMM registers of eight words. */
  readonly vectors = new Int32Array(16 * 8);
  /** Eight MMX registers of two words. */
  readonly mmx = new Int32Array(16);
  /** ES, CS, SS, DS, FS, GS. */
  readonly selectors = new Uint16Array(6);
  /** Low word of the base of segment s at 2s, high word at 2s + 1. */
  readonly segmentBases = new Int32Array(12);

  bits: 32 | 64 = 64;
  ripLow = 0;
  ripHigh = 0;
  /** Where execution goes on: behind the instruction, unless a branch changes it. */
  nextLow = 0;
  nextHigh = 0;

  /** CF: 0 or 1. */
  carry = 0;
  /** ZF: set when zero. */
  zeroWord = 1;
  /** SF: set when negative. */
  signWord = 0;
  /** PF: set when the low byte has an even number of ones. */
  parityByte = 1;
  /** OF: set when negative. */
  overflowWord = 0;
  /** AF: bit 4. */
  adjustWord = 0;
  /** DF as the step of string instructions: 1 or -1. */
  direction = 1;
  /** The remaining flags that user mode can change: TF, NT, AC, ID; IF reads as set. */
  otherFlags = 0;

  /** Address of the last x87 instruction, which FNSTENV stores. */
  fpuLow = 0;
  fpuHigh = 0;
  fpuControl = 0x37f;
  mxcsr = 0x1f80;

  /** High word of the value that the last function yielded. */
  highWord = 0;
  /** Effective address of the last memory operand. */
  addressLow = 0;
  addressHigh = 0;
  /** Decoded instructions; see `decode/record.ts`. */
  records = new Int32Array(0);
  /** Instructions executed, the source of RDTSC. */
  executed = 0;
  /** Set by an instruction that enters the kernel. */
  kernelEntry: KernelEntry | undefined;

  readonly memory: AddressSpace;

  constructor(memory: AddressSpace) {
    this.memory = memory;
  }

  /** Puts every register into the state of a new process. */
  reset(bits: 32 | 64): void {
    this.general.fill(0);
    this.vectors.fill(0);
    this.mmx.fill(0);
    this.segmentBases.fill(0);
    this.selectors.fill(0);
    this.selectors[SS] = USER_DS;
    if (bits === 32) {
      this.selectors[DS] = USER_DS;
      this.selectors[ES] = USER_DS;
    }
    this.ripLow = this.ripHigh = this.nextLow = this.nextHigh = 0;
    this.setMode(bits);
    this.carry = this.signWord = this.overflowWord = this.adjustWord = this.otherFlags = 0;
    this.zeroWord = this.parityByte = this.direction = 1;
    this.fpuLow = this.fpuHigh = this.executed = 0;
    this.fpuControl = 0x37f;
    this.mxcsr = 0x1f80;
    this.kernelEntry = undefined;
  }

  /** Switches between 64-bit and compatibility mode, with Linux's selectors. */
  setMode(bits: 32 | 64): void {
    this.bits = bits;
    this.selectors[1] = bits === 64 ? USER_CS : USER32_CS;
  }

  /** Bytes that push and near calls move. */
  get wordSize(): 4 | 8 {
    return this.bits === 64 ? 8 : 4;
  }

  low(register: number): number {
    return this.general[2 * register] ?? 0;
  }

  high(register: number): number {
    return this.general[2 * register + 1] ?? 0;
  }

  /** Writes all 64 bits. */
  set(register: number, low: number, high: number): void {
    this.general[2 * register] = low;
    this.general[2 * register + 1] = high;
  }

  /** A word of a decoded instruction. */
  record(at: number, word: number): number {
    return this.records[at + word] ?? 0;
  }

  /** The high word of RIP once its low word has wrapped. */
  highAfterCarry(): number {
    return this.bits === 64 ? (this.ripHigh + 1) | 0 : 0;
  }

  /** A branch is taken: execution goes on there, within the address width of the mode. */
  goTo(low: number, high: number): void {
    this.nextLow = low;
    this.nextHigh = this.bits === 64 ? high : 0;
  }
}

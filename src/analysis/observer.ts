import { gvaOfWords } from '../memory/address.ts';
import type { Cpu, KernelEntry } from './emulator/cpu.ts';
import {
  FIRST,
  HANDLER,
  IS_LOOPED,
  IS_RECEIVED,
  IS_RETURN,
  IS_WRITTEN,
  KEEPS_VALUE,
  LENGTH,
  WRITES_REGISTER,
  WRITES_STACK_POINTER,
} from './emulator/decode/record.ts';
import type { ExecutionObserver } from './emulator/emulator.ts';
import { ARITHMETIC } from './emulator/instructions/arithmetic.ts';
import { HANDLERS } from './emulator/instructions/table.ts';
import { CODE_ADDRESS, WRITTEN } from './emulator/memory/marks.ts';
import { operandRegister } from './emulator/operands.ts';
import { RAX, RSP } from './emulator/registers.ts';
import { EmulationStop, type StopReason } from './emulator/stop.ts';
import type { KernelModel } from './system-calls/kernel.ts';
import { TraitList } from './traits.ts';

/** The thread's stack as virtual addresses, end exclusive. */
export interface StackRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** How the traits are told, and what a system call does. */
export interface ObserverOptions {
  readonly stack: StackRange;
  /** The original's narrower definitions of the traits. */
  readonly original: boolean;
  readonly stopAtSystemCall: boolean;
  /** A return from here, or from above, leaves for the caller and ends the run; without it, the run goes on there. */
  readonly callerAt?: bigint;
}

const NEAR_RET = 0xc3;
/** Code that looks for itself is this close to the address that it finds; what old calls left on a stack is not. */
const NEAR_BYTES = 4096;
/** Shortest string on the stack that is worth a word: `/bin/sh` has seven bytes. */
const SHORTEST_STRING = 6;
/** The original asks for eight bytes of a narrow set. */
const ORIGINAL_STRING = /^[A-Za-z0-9\\/: ]{8}/;
const STRING = /^[\x20-\x7e]+/;
/** A pivot must leave this much of a new stack. */
const PIVOT_BYTES = 64;
/** The original takes only numbers below this for a system call. */
const ORIGINAL_NUMBERS = 0x1000;

/** Watches one run, and notes traits. */
export class TraitObserver implements ExecutionObserver {
  readonly traits = new TraitList();
  /** Where code that the run itself had written was first executed; undefined when none was. */
  decodedAt: { readonly high: number; readonly low: number } | undefined;

  readonly #kernel: KernelModel;
  readonly #options: ObserverOptions;
  readonly #stackHigh: number;
  readonly #stackLow: number;
  readonly #stackSize: number;

  constructor(kernel: KernelModel, options: ObserverOptions) {
    this.#kernel = kernel;
    this.#options = options;
    const { start, end } = options.stack;
    this.#stackHigh = Number(BigInt.asIntN(32, start >> 32n));
    this.#stackLow = Number(BigInt.asUintN(32, start));
    this.#stackSize = Number(end - start);
  }

  before(cpu: Cpu, at: number): void {
    const flags = cpu.record(at, LENGTH);
    if ((flags & IS_RECEIVED) !== 0) {
      this.traits.add('received-code', cpu, 'these bytes came in by a read');
      throw new EmulationStop({ kind: 'ended', by: 'received code' });
    }
    if ((flags & IS_WRITTEN) !== 0) {
      this.decodedAt ??= { high: cpu.ripHigh, low: cpu.ripLow };
      this.traits.add('write-self', cpu, 'the code wrote this instruction itself');
      if ((flags & IS_LOOPED) !== 0)
        this.traits.add('decoder-loop', cpu, 'a loop of the code wrote this instruction');
    }
    if ((flags & IS_RETURN) !== 0) this.#checkReturn(cpu);
  }

  after(cpu: Cpu, at: number): void {
    const flags = cpu.record(at, LENGTH);
    if ((flags & WRITES_STACK_POINTER) !== 0) this.#checkPivot(cpu, at);
    if ((flags & WRITES_REGISTER) !== 0) this.#checkString(cpu, at);
  }

  tookCodeAddress(cpu: Cpu, at: number, value: number): void {
    const flags = cpu.record(at, LENGTH);
    if ((flags & KEEPS_VALUE) === 0 || (flags & IS_RETURN) !== 0) return;
    const isFar = Math.abs((value - cpu.ripLow) | 0) > NEAR_BYTES;
    if (!this.#options.original && (isFar || isThunk(cpu))) return;
    this.traits.add('load-rip', cpu, 'takes the address that a call or the x87 unit left');
  }

  switchedMode(cpu: Cpu): void {
    if (this.#options.original && cpu.bits === 32) return;
    this.traits.add('heavens-gate', cpu, `switches to ${cpu.bits}-bit mode`, cpu.bits === 64 ? 32 : 64);
  }

  kernelEntered(cpu: Cpu, entry: KernelEntry): StopReason | undefined {
    const isNumber = cpu.low(RAX) >>> 0 < ORIGINAL_NUMBERS && cpu.high(RAX) === 0;
    if (isNumber || !this.#options.original) this.traits.add('syscall', cpu, `enters the kernel by ${entry}`);
    return this.#options.stopAtSystemCall ? this.#stopAt(entry) : this.#kernel.enter(entry);
  }

  /** The call that ends the run is still named. */
  #stopAt(entry: KernelEntry): StopReason {
    this.#kernel.enter(entry);
    return { kind: 'system-call' };
  }

  /** RET to an address that the code put there itself, not by a call. */
  #checkReturn(cpu: Cpu): void {
    if (this.#options.original) return;
    const offset = cpu.memory.find(cpu.high(RSP), cpu.low(RSP));
    const mark = offset < 0 ? 0 : (cpu.memory.slab.marks[offset] ?? 0);
    if ((mark & WRITTEN) === 0 && this.#leavesForCaller(cpu)) {
      throw new EmulationStop({ kind: 'ended', by: 'a return to its caller' });
    }
    if ((mark & WRITTEN) === 0 || (mark & CODE_ADDRESS) !== 0) return;
    this.traits.add('tainted-return', cpu, 'returns to an address that the code itself put on the stack');
  }

  #leavesForCaller(cpu: Cpu): boolean {
    const { callerAt } = this.#options;
    return callerAt !== undefined && gvaOfWords(cpu.high(RSP), cpu.low(RSP)) >= callerAt;
  }

  #checkPivot(cpu: Cpu, at: number): void {
    const [high, low] = [cpu.high(RSP), cpu.low(RSP)];
    if (this.#onStack(high, low)) return;
    if (this.#options.original && !isXchg(cpu, at)) return;
    if ((low & 3) !== 0 || cpu.memory.peek(high, low, PIVOT_BYTES).length < PIVOT_BYTES) return;
    this.traits.add('stack-pivot', cpu, 'points the stack register elsewhere');
  }

  #onStack(high: number, low: number): boolean {
    const distance = (high - this.#stackHigh) * 0x1_0000_0000 + (low >>> 0) - this.#stackLow;
    return distance >= 0 && distance < this.#stackSize;
  }

  #checkString(cpu: Cpu, at: number): void {
    if (this.traits.has('stack-string')) return;
    const register = operandRegister(cpu, at, FIRST);
    const [high, low] = [cpu.high(register), cpu.low(register)];
    if (!this.#onStack(high, low) || !this.#startsPrintable(cpu, high, low)) return;
    const text = String.fromCharCode(...cpu.memory.peek(high, low, 64));
    if (this.#options.original) {
      if (ORIGINAL_STRING.test(text)) this.traits.add('stack-string', cpu, JSON.stringify(text.slice(0, 8)));
      return;
    }
    const found = STRING.exec(text)?.[0] ?? '';
    if (found.length < SHORTEST_STRING || !this.#isWritten(cpu, high, low, found.length)) return;
    this.traits.add('stack-string', cpu, JSON.stringify(found));
  }

  /** The quick look that spares most values a longer one. */
  #startsPrintable(cpu: Cpu, high: number, low: number): boolean {
    const offset = cpu.memory.find(high, low);
    const byte = offset < 0 ? 0 : (cpu.memory.slab.bytes[offset] ?? 0);
    return byte >= 0x20 && byte < 0x7f;
  }

  /** Whether the code built all of it; what lay there before is the program's own. */
  #isWritten(cpu: Cpu, high: number, low: number, length: number): boolean {
    for (let i = 0; i < length; i++) {
      const offset = cpu.memory.find(high, (low + i) | 0);
      if (offset < 0 || ((cpu.memory.slab.marks[offset] ?? 0) & WRITTEN) === 0) return false;
    }
    return true;
  }
}

/** Only XCHG counts as a pivot for the original. */
function isXchg(cpu: Cpu, at: number): boolean {
  return HANDLERS[cpu.record(at, HANDLER)] === ARITHMETIC.instructions.Xchg;
}

/** `mov ebx, [esp]; ret`: how compilers give 32-bit code its own address. */
function isThunk(cpu: Cpu): boolean {
  return cpu.memory.peek(cpu.nextHigh, cpu.nextLow, 1)[0] === NEAR_RET;
}

import { Cpu, type KernelEntry } from './cpu.ts';
import { CodeCache } from './decode/code-cache.ts';
import {
  HANDLER,
  IS_NOP,
  IS_RECEIVED,
  IS_REPEATED,
  IS_RETURN,
  IS_WRITTEN,
  LENGTH,
  RECORD_WORDS,
  RUNS,
  WRITES_REGISTER,
  WRITES_STACK_POINTER,
} from './decode/record.ts';
import { HANDLERS, nothingToExecute } from './instructions/table.ts';
import { AddressSpace } from './memory/address-space.ts';
import { fourfold, LOOPED, WRITTEN } from './memory/marks.ts';
import { EMPTY_SNAPSHOT, type MemorySnapshot, PAGE_SIZE } from './memory/snapshot.ts';
import { EmulationStop, type StopReason } from './stop.ts';

/** A loop this close to where the run began is the code's own; further away it is a library's, which copies code too. */
const OWN_BYTES = 0x1_0000;
/** An instruction that runs for the second time is in a loop: decoders with vectors need few steps. */
const LOOP_RUNS = 2;
const PLAIN = fourfold(WRITTEN);
const IN_LOOP = fourfold(WRITTEN | LOOPED);

const IN_PAGE = PAGE_SIZE - 1;
/** No page starts there. */
const NO_PAGE = 1;
const NO_INDEX = new Int16Array(0);

/** Flags of instructions that an observer may want to see before they run. */
const SEEN_BEFORE = IS_WRITTEN | IS_RECEIVED | IS_RETURN;
const SEEN_AFTER = WRITES_REGISTER | WRITES_STACK_POINTER;

/** Hears of what an emulation does, at the points where something can be learned. `at` is the instruction's record. */
export interface ExecutionObserver {
  /** About to run: it returns, or some of its bytes were stored in this run. */
  before(cpu: Cpu, at: number): void;
  /** It wrote a general register in full, or the stack pointer. */
  after(cpu: Cpu, at: number): void;
  /** It loaded an address of the code itself that a call or the x87 unit had left; `value` is its low word. */
  tookCodeAddress(cpu: Cpu, at: number, value: number): void;
  /** It switched between 64-bit and 32-bit mode; `cpu.bits` is the new one. */
  switchedMode(cpu: Cpu, at: number): void;
  /** It entered the kernel, whose part the observer plays; RIP is still that of the instruction. A reason ends the run. */
  kernelEntered(cpu: Cpu, entry: KernelEntry): StopReason | undefined;
}

/** How large a run may become. */
export interface EmulatorLimits {
  /** Pages of memory that a run may touch. */
  readonly pages: number;
}

const DEFAULT_LIMITS: EmulatorLimits = { pages: 1024 };

/**
 * Runs user-mode x86 code, 64-bit and 32-bit. One emulator is made once and reused: everything that it needs is
 * allocated in its first run.
 */
export class Emulator implements Disposable {
  readonly memory: AddressSpace;
  readonly cpu: Cpu;
  observer: ExecutionObserver | undefined;
  /** NOPs at the start of the run, before any other instruction. */
  leadingNops = 0;

  readonly #cache: CodeCache;
  #onlyNops = true;
  /** The page where the run began. */
  #start: { readonly high: number; readonly low: number } | undefined;
  #bits: 32 | 64 = 64;

  constructor(limits: EmulatorLimits = DEFAULT_LIMITS) {
    this.memory = new AddressSpace(EMPTY_SNAPSHOT, limits.pages);
    this.#cache = new CodeCache(this.memory);
    this.memory.observer = this.#cache;
    this.cpu = new Cpu(this.memory);
    this.cpu.records = this.#cache.records;
  }

  [Symbol.dispose](): void {
    this.#cache[Symbol.dispose]();
  }

  /** Starts anew: empty registers, and memory as the snapshot has it. */
  reset(snapshot: MemorySnapshot, bits: 32 | 64): void {
    this.memory.reset(snapshot);
    this.#cache.reset(bits);
    this.cpu.reset(bits);
    this.#bits = bits;
    this.leadingNops = 0;
    this.#onlyNops = true;
    this.#start = undefined;
  }

  /**
   * Runs until something ends it, at most `budget` instructions; each iteration of a repeated string instruction
   * counts. Calling it again goes on from there.
   */
  run(budget: number): StopReason {
    try {
      return this.#run(budget);
    } catch (stop) {
      if (stop instanceof EmulationStop) return stop.reason;
      throw stop;
    }
  }

  #run(budget: number): StopReason {
    const { cpu, memory } = this;
    const cache = this.#cache;
    const records = cpu.records;
    const handlers = HANDLERS;
    const end = cpu.executed + budget;
    let pageLow = NO_PAGE;
    let pageHigh = 0;
    let base = 0;
    let index: Int16Array = NO_INDEX;
    let isOwn = true;
    while (cpu.executed < end) {
      const low = cpu.ripLow;
      if ((low & ~IN_PAGE) !== pageLow || cpu.ripHigh !== pageHigh) {
        base = memory.lookup(cpu.ripHigh, low, 'fetch');
        index = cache.indexOf(base);
        pageLow = low & ~IN_PAGE;
        pageHigh = cpu.ripHigh;
        isOwn = this.#isOwn(pageHigh, pageLow);
      }
      let at = (index[low & IN_PAGE] ?? 0) * RECORD_WORDS;
      if (at === 0) at = cache.decode(cpu.ripHigh, low, base);
      const flags = records[at + LENGTH] ?? 0;
      const next = (low + (flags & 0xff)) | 0;
      cpu.nextLow = next;
      cpu.nextHigh = next >= 0 && low < 0 ? cpu.highAfterCarry() : cpu.ripHigh;
      const runs = (records[at + RUNS] ?? 0) + 1;
      records[at + RUNS] = runs;
      memory.storeMark = runs >= LOOP_RUNS && isOwn && (flags & IS_REPEATED) === 0 ? IN_LOOP : PLAIN;
      if (this.#onlyNops) this.#countNop(flags);
      if ((flags & SEEN_BEFORE) !== 0) this.observer?.before(cpu, at);
      const execute = handlers[records[at + HANDLER] ?? 0] ?? nothingToExecute;
      execute(cpu, at);
      if (memory.codeAddressAt >= 0) this.#reportCodeAddress(at);
      if ((flags & SEEN_AFTER) !== 0) this.observer?.after(cpu, at);
      if (cpu.bits !== this.#bits) this.#switchMode(at);
      cpu.executed++;
      const stop = cpu.kernelEntry === undefined ? undefined : this.#enterKernel(cpu.kernelEntry);
      cpu.ripLow = cpu.nextLow;
      cpu.ripHigh = cpu.nextHigh;
      if (stop !== undefined) return stop;
    }
    return { kind: 'budget' };
  }

  #isOwn(high: number, low: number): boolean {
    this.#start ??= { high, low };
    return high === this.#start.high && Math.abs(low - this.#start.low) <= OWN_BYTES;
  }

  #countNop(flags: number): void {
    if ((flags & IS_NOP) !== 0) this.leadingNops++;
    else this.#onlyNops = false;
  }

  /** What was decoded for one mode means something else in the other. */
  #switchMode(at: number): void {
    this.observer?.switchedMode(this.cpu, at);
    this.#bits = this.cpu.bits;
    this.#cache.reset(this.#bits);
  }

  #reportCodeAddress(at: number): void {
    const value = this.memory.slab.view.getInt32(this.memory.codeAddressAt, true);
    this.memory.codeAddressAt = -1;
    this.observer?.tookCodeAddress(this.cpu, at, value);
  }

  #enterKernel(entry: KernelEntry): StopReason | undefined {
    this.cpu.kernelEntry = undefined;
    if (this.observer === undefined) return { kind: 'system-call' };
    return this.observer.kernelEntered(this.cpu, entry);
  }
}

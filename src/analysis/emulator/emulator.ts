import { Cpu, type KernelEntry } from './cpu.ts';
import { CodeCache } from './decode/code-cache.ts';
import {
  HANDLER,
  IS_NOP,
  IS_REPEATED,
  IS_RETURN,
  IS_WRITTEN,
  LENGTH,
  RUNS,
  WRITES_REGISTER,
  WRITES_STACK_POINTER,
} from './decode/record.ts';
import { HANDLERS } from './instructions/table.ts';
import { AddressSpace } from './memory/address-space.ts';
import { fourfold, LOOPED, WRITTEN } from './memory/marks.ts';
import { EMPTY_SNAPSHOT, type MemorySnapshot, PAGE_SIZE } from './memory/snapshot.ts';
import { EmulationStop, type StopReason } from './stop.ts';

/** An instruction that has run this often is in a loop. */
const LOOP_RUNS = 4;
const PLAIN = fourfold(WRITTEN);
const IN_LOOP = fourfold(WRITTEN | LOOPED);

/** Flags of instructions that an observer may want to see before they run. */
const SEEN_BEFORE = IS_WRITTEN | IS_RETURN;
const SEEN_AFTER = WRITES_REGISTER | WRITES_STACK_POINTER;

/** Hears of what an emulation does, at the points where something can be learned. `at` is the instruction's record. */
export interface ExecutionObserver {
  /** About to run: it returns, or some of its bytes were stored in this run. */
  before(cpu: Cpu, at: number): void;
  /** It wrote a general register in full, or the stack pointer. */
  after(cpu: Cpu, at: number): void;
  /** It loaded bytes that hold an address of the code itself. */
  tookCodeAddress(cpu: Cpu, at: number): void;
  /** It entered the kernel; false ends the run. The observer plays the kernel's part. */
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
    const records = cpu.records;
    const end = cpu.executed + budget;
    while (cpu.executed < end) {
      const at = this.#fetch();
      const flags = records[at + LENGTH] ?? 0;
      const next = (cpu.ripLow >>> 0) + (flags & 0xff);
      cpu.goTo(next | 0, next > 0xffff_ffff ? (cpu.ripHigh + 1) | 0 : cpu.ripHigh);
      const runs = (records[at + RUNS] ?? 0) + 1;
      records[at + RUNS] = runs;
      memory.storeMark = runs >= LOOP_RUNS && (flags & IS_REPEATED) === 0 ? IN_LOOP : PLAIN;
      if (this.#onlyNops) this.#countNop(flags);
      if ((flags & SEEN_BEFORE) !== 0) this.observer?.before(cpu, at);
      HANDLERS[records[at + HANDLER] ?? 0]?.(cpu, at);
      if (memory.tookCodeAddress) this.#reportCodeAddress(at);
      if ((flags & SEEN_AFTER) !== 0) this.observer?.after(cpu, at);
      cpu.executed++;
      cpu.ripLow = cpu.nextLow;
      cpu.ripHigh = cpu.nextHigh;
      if (cpu.kernelEntry !== undefined) {
        const stop = this.#enterKernel(cpu.kernelEntry);
        if (stop !== undefined) return stop;
      }
    }
    return { kind: 'budget' };
  }

  /** The record of the instruction at RIP. */
  #fetch(): number {
    const { cpu } = this;
    if (cpu.bits !== this.#bits) {
      this.#bits = cpu.bits;
      this.#cache.reset(cpu.bits);
    }
    const base = this.memory.lookup(cpu.ripHigh, cpu.ripLow, 'fetch');
    const at = this.#cache.find(base + (cpu.ripLow & (PAGE_SIZE - 1)));
    return at !== 0 ? at : this.#cache.decode(cpu.ripHigh, cpu.ripLow, base);
  }

  #countNop(flags: number): void {
    if ((flags & IS_NOP) !== 0) this.leadingNops++;
    else this.#onlyNops = false;
  }

  #reportCodeAddress(at: number): void {
    this.memory.tookCodeAddress = false;
    this.observer?.tookCodeAddress(this.cpu, at);
  }

  #enterKernel(entry: KernelEntry): StopReason | undefined {
    this.cpu.kernelEntry = undefined;
    if (this.observer === undefined) return { kind: 'system-call' };
    return this.observer.kernelEntered(this.cpu, entry);
  }
}

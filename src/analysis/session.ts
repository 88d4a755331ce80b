import type { Registers } from '../x86/registers.ts';
import type { Emulator } from './emulator/emulator.ts';
import { unpackFlags } from './emulator/flags.ts';
import type { MemorySnapshot } from './emulator/memory/snapshot.ts';
import { ES, GENERAL_NAMES } from './emulator/registers.ts';
import type { StopReason } from './emulator/stop.ts';
import { type StackRange, TraitObserver } from './observer.ts';
import { isOriginalSled, isSled } from './sled.ts';
import { type Chain, findChains } from './system-calls/chains.ts';
import { KernelModel } from './system-calls/kernel.ts';

/** Where and how an emulation starts. */
export interface SessionInput {
  readonly bits: 32 | 64;
  /** The trap's registers; RIP is where it starts. */
  readonly registers: Registers;
  readonly snapshot: MemorySnapshot;
  /** The thread's stack; without it, a MiB around RSP is taken for the stack. */
  readonly stack?: StackRange;
  /** Instructions at most; each iteration of a repeated string instruction counts. */
  readonly budget: number;
  /** Ends where the code returns to who called it, whose deeds are not its own. */
  readonly untilReturn?: boolean;
  /** Ends at the first system call, as the original does. */
  readonly stopAtSystemCall?: boolean;
  /** The original's definitions of the traits. */
  readonly original?: boolean;
}

const STACK_REACH = 0x10_0000n;
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
/** Bytes of the start that are looked at for a sled. */
const SLED_BYTES = 256;

/**
 * One emulation from a trap's state, which can be run in slices. The emulator is handed in, so that one serves
 * many sessions, one at a time.
 */
export class Session {
  readonly observer: TraitObserver;
  readonly kernel: KernelModel;
  /** Why it ended; undefined while it can go on. */
  stop: StopReason | undefined;

  readonly #emulator: Emulator;
  readonly #input: SessionInput;
  readonly #start: Uint8Array;

  constructor(emulator: Emulator, input: SessionInput) {
    this.#emulator = emulator;
    this.#input = input;
    emulator.reset(input.snapshot, input.bits);
    loadRegisters(emulator, input.registers, input.bits);
    this.kernel = new KernelModel(emulator.cpu);
    this.observer = new TraitObserver(this.kernel, {
      stack: input.stack ?? stackAround(input.registers.get('rsp')),
      original: input.original === true,
      stopAtSystemCall: input.stopAtSystemCall === true,
      ...(input.untilReturn === true ? { callerAt: input.registers.get('rsp') } : {}),
    });
    emulator.observer = this.observer;
    this.#start = emulator.memory.peek(emulator.cpu.ripHigh, emulator.cpu.ripLow, SLED_BYTES);
  }

  get instructions(): number {
    return this.#emulator.cpu.executed;
  }

  get memory(): Emulator['memory'] {
    return this.#emulator.memory;
  }

  /** Runs at most so many more instructions; true when the run has ended. */
  step(instructions: number): boolean {
    if (this.stop !== undefined) return true;
    const left = this.#input.budget - this.instructions;
    const stop = this.#emulator.run(Math.min(instructions, left));
    if (stop.kind === 'budget' && this.instructions < this.#input.budget) return false;
    this.stop = stop;
    this.#noteSled();
    return true;
  }

  /** What the system calls amount to. */
  chains(): Chain[] {
    return findChains(this.kernel, this.observer.traits.has('received-code'));
  }

  #noteSled(): void {
    const { leadingNops, cpu } = this.#emulator;
    const { bits, budget, original, registers } = this.#input;
    const ranOut = this.stop?.kind === 'budget';
    const found =
      original === true
        ? ranOut && isOriginalSled(leadingNops, budget)
        : isSled(leadingNops, this.#start, bits);
    if (!found) return;
    this.observer.traits.addAt(
      'nop-sled',
      cpu,
      registers.get('rip'),
      'begins with a run of no-operations',
      bits,
    );
  }
}

function stackAround(stackPointer: bigint): StackRange {
  const start = stackPointer > STACK_REACH ? stackPointer - STACK_REACH : 0n;
  return { start, end: stackPointer + STACK_REACH };
}

function loadRegisters(emulator: Emulator, registers: Registers, bits: 32 | 64): void {
  const { cpu } = emulator;
  GENERAL_NAMES.forEach((name, register) => {
    cpu.set(register, registers.low(name) | 0, bits === 64 ? registers.high(name) | 0 : 0);
  });
  cpu.ripLow = registers.low('rip') | 0;
  cpu.ripHigh = bits === 64 ? registers.high('rip') | 0 : 0;
  unpackFlags(cpu, registers.low('eflags'));
  SEGMENT_NAMES.forEach((name, index) => {
    const selector = registers.low(name);
    if (name !== 'cs' && selector !== 0) cpu.selectors[ES + index] = selector;
  });
  for (const [name, segment] of [
    ['fs_base', 4],
    ['gs_base', 5],
  ] as const) {
    cpu.segmentBases[2 * segment] = registers.low(name);
    cpu.segmentBases[2 * segment + 1] = registers.high(name);
  }
}

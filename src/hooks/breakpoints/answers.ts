import type { RegisterChanges } from '../../machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { type RegisterName, Registers } from '../../x86/registers.ts';
import type { HookedKernel, Trap, TrapAnswer } from '../trap.ts';

const SIGKILL = 9n;
const WORD = 8n;

/** Integer arguments in order (System V ABI for x86-64, 3.2.3). */
const ARGUMENT_REGISTERS: readonly RegisterName[] = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'];

/** What a function may change (System V ABI for x86-64, 3.2.1), and the stack pointer. */
const CALLER_SAVED: readonly RegisterName[] = [
  'rax',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'rsp',
];

/** A kernel function that the engine had called, and which has not returned yet. */
interface PendingCall {
  readonly trap: Trap;
  readonly afterwards: (result: bigint, trap: Trap) => TrapAnswer;
}

/** A called function has returned. */
export interface FinishedCall {
  /** The trap that the call came from, on the vCPU where its task is now. */
  readonly trap: Trap;
  /** What is to happen after the call. */
  readonly next: () => TrapAnswer;
  /** Puts back what the function may have changed. */
  readonly restore: RegisterChanges;
}

/**
 * Turns answers into register changes on the vCPU that trapped, at a function's first instruction.
 *
 * A called function returns onto the breakpoint that it was called from. Which call that ends is told by the
 * stack pointer: kernel stacks belong to one task each, so any number of calls may be in flight, and a task
 * may come back on another vCPU.
 */
export class BreakpointAnswers {
  readonly #kernel: HookedKernel;
  readonly #memory: WritablePhysicalMemory;
  readonly #calls = new Map<bigint, PendingCall>();

  constructor(kernel: HookedKernel, memory: WritablePhysicalMemory) {
    this.#kernel = kernel;
    this.#memory = memory;
  }

  get callsInFlight(): number {
    return this.#calls.size;
  }

  /** Whether the trap is the return of a called function, and of which. */
  takeCall(trap: Trap): FinishedCall | undefined {
    const key = trap.registers.get('rsp');
    const call = this.#calls.get(key);
    if (call === undefined || call.trap.site !== trap.site) return undefined;
    this.#calls.delete(key);
    const result = trap.registers.get('rax');
    const before = restoredTrap(call.trap, trap);
    const restore: RegisterChanges = {};
    for (const name of CALLER_SAVED) restore[name] = before.registers.get(name);
    return { trap: before, next: () => call.afterwards(result, before), restore };
  }

  /** The changes that make the vCPU do what the answer says; throws where guest memory does not allow it. */
  changes(trap: Trap, answer: Exclude<TrapAnswer, { kind: 'continue' }>): RegisterChanges {
    switch (answer.kind) {
      case 'return':
        return this.#returnFrom(trap, answer.value);
      case 'kill':
        return { rdi: SIGKILL, rip: this.#kernel.symbols.require('force_sig') };
      case 'call':
        return this.#call(trap, answer);
    }
  }

  #returnFrom(trap: Trap, value: bigint | undefined): RegisterChanges {
    const stack = gva(trap.registers.get('rsp'));
    const changes: RegisterChanges = { rip: this.#kernel.memory.readU64(stack), rsp: stack + WORD };
    if (value !== undefined) changes.rax = value;
    return changes;
  }

  /** The stack stays aligned as the ABI wants it: 8 bytes off 16 at a function's entry. */
  #call(trap: Trap, answer: Extract<TrapAnswer, { kind: 'call' }>): RegisterChanges {
    const stack = gva(trap.registers.get('rsp') - 2n * WORD);
    this.#writeU64(stack, trap.site.address);
    const changes: RegisterChanges = { rip: answer.function, rsp: stack };
    for (const [index, value] of answer.arguments.entries()) {
      const name = ARGUMENT_REGISTERS[index];
      if (name === undefined) throw new RangeError('a kernel function is called with at most six arguments');
      changes[name] = value;
    }
    this.#calls.set(stack + WORD, { trap, afterwards: answer.afterwards });
    return changes;
  }

  #writeU64(address: GuestVirtualAddress, value: bigint): void {
    const bytes = Buffer.alloc(Number(WORD));
    bytes.writeBigUInt64LE(value);
    this.#memory.write(this.#kernel.memory.locateAddress(address), bytes);
  }
}

/** The trap as it was before the call, on the vCPU where the task is now. */
function restoredTrap(before: Trap, now: Trap): Trap {
  const registers = new Registers();
  registers.words.set(now.registers.words);
  for (const name of CALLER_SAVED) registers.set(name, before.registers.get(name));
  return { ...before, vcpu: now.vcpu, registers };
}

import { TargetError, TargetLostError } from '../../errors.ts';
import { type GuestVirtualAddress, gva, hex } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { type RegisterName, Registers } from '../../x86/registers.ts';
import type { Debugger, DebugStop, RegisterChanges } from '../machine.ts';

/** What a test wants to happen once the machine runs. */
export interface ScriptedStop {
  /** Default 1. */
  readonly vcpu?: number;
  /** Default `breakpoint`, which needs a breakpoint at `rip`. */
  readonly reason?: DebugStop['reason'];
  /** Registers set before the stop is reported; the others keep their values. */
  readonly registers?: RegisterChanges;
}

/** What was asked of a mock debugger, in order. */
export type MockAction =
  | { readonly kind: 'resume'; readonly vcpu?: number; readonly changes: RegisterChanges }
  | { readonly kind: 'insert' | 'remove'; readonly address: GuestVirtualAddress }
  | {
      readonly kind: 'code';
      readonly vcpu: number;
      readonly address: GuestVirtualAddress;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'interrupt' | 'flush' | 'dispose' };

/** What a mock debugger debugs. */
export interface MockGuest {
  readonly memory: WritablePhysicalMemory;
  readonly registers: readonly Registers[];
  running: boolean;
  translate(address: GuestVirtualAddress, registers: Registers): number;
  execute(registers: Registers): void;
}

/** The debugger of a mock machine: stops come from a script, everything else is recorded. */
export class MockDebugger implements Debugger {
  readonly actions: MockAction[] = [];
  readonly breakpoints = new Set<GuestVirtualAddress>();
  readonly #machine: MockGuest;
  readonly #script: ScriptedStop[] = [];
  #running = false;
  #unclaimed: DebugStop | undefined;
  #waiter: { resolve: (stop: DebugStop) => void; reject: (error: Error) => void } | undefined;
  #lost: TargetLostError | undefined;

  constructor(machine: MockGuest) {
    this.#machine = machine;
  }

  get vcpus(): readonly number[] {
    return this.#machine.registers.map((_, index) => index + 1);
  }

  get running(): boolean {
    return this.#running;
  }

  /** Adds a stop that happens as soon as the machine runs and those before it were reported. */
  script(stop: ScriptedStop): void {
    this.#script.push(stop);
    this.#next();
  }

  /** Makes the machine go away: whoever waits, or asks anything from now on, gets a TargetLostError. */
  lose(): void {
    this.#lost = new TargetLostError('the mock machine has ended');
    this.#running = false;
    this.#waiter?.reject(this.#lost);
    this.#waiter = undefined;
  }

  async interrupt(): Promise<void> {
    this.#check();
    if (!this.#running) return;
    this.actions.push({ kind: 'interrupt' });
    this.#report(1, 'interrupt');
  }

  resume(vcpu?: number, changes: RegisterChanges = {}): void {
    this.#requireStopped();
    this.actions.push({ kind: 'resume', ...(vcpu === undefined ? {} : { vcpu }), changes });
    apply(this.#registers(vcpu ?? 1), changes);
    this.#unclaimed = undefined;
    this.#running = true;
    this.#next();
  }

  nextStop(): Promise<DebugStop> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    if (this.#waiter !== undefined)
      return Promise.reject(new Error('somebody waits for the next stop already'));
    const unclaimed = this.#unclaimed;
    this.#unclaimed = undefined;
    if (unclaimed !== undefined) return Promise.resolve(unclaimed);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  async step(vcpu: number): Promise<Registers> {
    this.#requireStopped();
    this.#machine.execute(this.#registers(vcpu));
    return copy(this.#registers(vcpu));
  }

  async readRegisters(vcpu: number): Promise<Registers> {
    this.#requireStopped();
    return copy(this.#registers(vcpu));
  }

  async writeRegisters(vcpu: number, changes: RegisterChanges): Promise<void> {
    this.#requireStopped();
    apply(this.#registers(vcpu), changes);
  }

  async insertBreakpoint(address: GuestVirtualAddress): Promise<void> {
    this.#requireStopped();
    this.actions.push({ kind: 'insert', address });
    this.breakpoints.add(address);
  }

  async removeBreakpoint(address: GuestVirtualAddress): Promise<void> {
    this.#requireStopped();
    this.actions.push({ kind: 'remove', address });
    this.breakpoints.delete(address);
  }

  async writeCode(vcpu: number, address: GuestVirtualAddress, bytes: Uint8Array): Promise<void> {
    this.#requireStopped();
    this.actions.push({ kind: 'code', vcpu, address, bytes: bytes.slice() });
    this.#machine.memory.write(this.#machine.translate(address, this.#registers(vcpu)), bytes);
  }

  async flushTranslations(): Promise<void> {
    this.#requireStopped();
    this.actions.push({ kind: 'flush' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.actions.push({ kind: 'dispose' });
    this.breakpoints.clear();
    this.lose();
    this.#machine.running = true;
  }

  #next(): void {
    if (!this.#running) return;
    const stop = this.#script.shift();
    if (stop === undefined) return;
    const vcpu = stop.vcpu ?? 1;
    const reason = stop.reason ?? 'breakpoint';
    const registers = this.#registers(vcpu);
    apply(registers, stop.registers ?? {});
    const rip = gva(registers.get('rip'));
    if (reason === 'breakpoint' && !this.breakpoints.has(rip)) {
      throw new Error(`the script stops at ${hex(rip)}, where no breakpoint is`);
    }
    this.#report(vcpu, reason);
  }

  #report(vcpu: number, reason: DebugStop['reason']): void {
    this.#running = false;
    const stop = { vcpu, reason, registers: copy(this.#registers(vcpu)) };
    if (this.#waiter === undefined) this.#unclaimed = stop;
    else this.#waiter.resolve(stop);
    this.#waiter = undefined;
  }

  #registers(vcpu: number): Registers {
    const registers = this.#machine.registers[vcpu - 1];
    if (registers === undefined) throw new TargetError(`the mock machine has no vCPU ${vcpu}`);
    return registers;
  }

  #check(): void {
    if (this.#lost !== undefined) throw this.#lost;
  }

  #requireStopped(): void {
    this.#check();
    if (this.#running) throw new TargetError('the machine runs: interrupt it first');
  }
}

function apply(registers: Registers, changes: RegisterChanges): void {
  for (const [name, value] of Object.entries(changes) as [RegisterName, bigint][]) registers.set(name, value);
}

function copy(registers: Registers): Registers {
  const result = new Registers();
  result.words.set(registers.words);
  return result;
}

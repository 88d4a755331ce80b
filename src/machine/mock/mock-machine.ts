import { TargetError } from '../../errors.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import { SparseMemory } from '../../memory/sparse-memory.ts';
import { Registers } from '../../x86/registers.ts';
import type { LiveMachine, Machine, VcpuState } from '../machine.ts';
import { MockDebugger, type MockGuest } from './mock-debugger.ts';

/** How a mock machine is made. */
export interface MockOptions {
  /** Default 1. */
  readonly vcpus?: number;
  /** Default 0. */
  readonly idtBase?: bigint;
  /** Guest-virtual to guest-physical, for `writeCode`. Default: the lower 47 bits, as they are. */
  readonly translate?: (address: GuestVirtualAddress, registers: Registers) => number;
  /** What a single step does to the registers. Default: rip goes on by one. */
  readonly execute?: (registers: Registers) => void;
}

/** A machine without a guest, for unit tests: sparse memory, registers as the test sets them, scripted stops. */
export class MockMachine implements Machine, LiveMachine, MockGuest {
  readonly name = 'mock';
  readonly hypervisor = 'mock';
  readonly memory = new SparseMemory();
  /** The registers of each vCPU; vCPU 1 comes first. */
  readonly registers: readonly Registers[];
  readonly gone: Promise<void>;
  /** Whether the machine was left running. */
  running = true;
  /** The debugger, once there is one. */
  debugger: MockDebugger | undefined;
  readonly #options: MockOptions;
  #end = () => {};

  constructor(options: MockOptions = {}) {
    this.#options = options;
    this.registers = Array.from({ length: options.vcpus ?? 1 }, () => new Registers());
    this.gone = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get live(): LiveMachine {
    return this;
  }

  async readVcpus(): Promise<readonly VcpuState[]> {
    const idtBase = gva(this.#options.idtBase ?? 0n);
    return this.registers.map((registers) => ({ registers, idtBase }));
  }

  async debug(): Promise<MockDebugger> {
    if (this.debugger !== undefined) throw new TargetError('the mock machine is being debugged already');
    this.debugger = new MockDebugger(this);
    this.running = false;
    return this.debugger;
  }

  /** Makes the machine go away in the middle. */
  lose(): void {
    this.running = false;
    this.debugger?.lose();
    this.#end();
  }

  translate(address: GuestVirtualAddress, registers: Registers): number {
    return this.#options.translate?.(address, registers) ?? Number(BigInt.asUintN(47, address));
  }

  execute(registers: Registers): void {
    if (this.#options.execute !== undefined) this.#options.execute(registers);
    else registers.set('rip', registers.get('rip') + 1n);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.debugger?.[Symbol.asyncDispose]();
    this.memory[Symbol.dispose]();
    this.#end();
  }
}

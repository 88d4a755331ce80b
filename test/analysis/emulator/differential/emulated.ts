import { Emulator } from '../../../../src/analysis/emulator/emulator.ts';
import { packFlags, unpackFlags } from '../../../../src/analysis/emulator/flags.ts';
import { type MemorySnapshot, PAGE_SIZE } from '../../../../src/analysis/emulator/memory/snapshot.ts';
import type { StopReason } from '../../../../src/analysis/emulator/stop.ts';
import { type Case, CODE, type CpuState, DATA, emptyState, type Outcome, STACK } from './host-cpu.ts';

/** Signals by which Linux would end what stops an emulation. */
function signalOf(stop: StopReason): number {
  switch (stop.kind) {
    case 'interrupt':
      return stop.vector === 4 || stop.vector === 5 ? 11 : 5;
    case 'divide-error':
      return 8;
    case 'invalid':
      return 4;
    case 'memory':
    case 'privileged':
    case 'protection':
    case 'selector':
      return 11;
    default:
      return 0;
  }
}

/** Runs cases in the emulator, from the same state and to the same kind of outcome as the host CPU. */
export class EmulatedCpu implements Disposable {
  readonly emulator = new Emulator();
  readonly #pages = new Map<number, Uint8Array>();

  [Symbol.dispose](): void {
    this.emulator[Symbol.dispose]();
  }

  run(test: Case): Outcome & { readonly stop: StopReason } {
    const { emulator } = this;
    emulator.reset(this.#snapshot(test), test.bits);
    this.#load(test.state);
    const stop = emulator.run(10_000);
    const { cpu } = emulator;
    const rip = (BigInt(cpu.nextHigh >>> 0) << 32n) | BigInt(cpu.nextLow >>> 0);
    return { signal: signalOf(stop), rip, state: this.#store(), stop };
  }

  #snapshot(test: Case): MemorySnapshot {
    const pages = this.#pages;
    for (const start of [CODE, DATA, STACK]) {
      const first = Math.floor(start / PAGE_SIZE);
      for (const number of [first, first + 1]) {
        const page = pages.get(number) ?? new Uint8Array(PAGE_SIZE);
        page.fill(start === CODE ? 0xcc : 0);
        pages.set(number, page);
      }
    }
    this.#put(CODE, test.code);
    this.#put(DATA, test.state.data);
    this.#put(STACK, test.state.stack);
    return { readPage: (high, low) => (high === 0 ? pages.get(low / PAGE_SIZE) : undefined) };
  }

  #put(address: number, bytes: Uint8Array): void {
    const number = Math.floor(address / PAGE_SIZE);
    const offset = address % PAGE_SIZE;
    this.#pages.get(number)?.set(bytes.subarray(0, PAGE_SIZE - offset), offset);
    if (bytes.length > PAGE_SIZE - offset)
      this.#pages.get(number + 1)?.set(bytes.subarray(PAGE_SIZE - offset));
  }

  #load(state: CpuState): void {
    const { cpu } = this.emulator;
    state.general.forEach((value, register) => {
      cpu.set(register, Number(value & 0xffff_ffffn) | 0, Number(value >> 32n) | 0);
    });
    unpackFlags(cpu, Number(state.flags));
    state.mmx.forEach((value, register) => {
      cpu.mmx[2 * register] = Number(value & 0xffff_ffffn);
      cpu.mmx[2 * register + 1] = Number(value >> 32n);
    });
    new Uint8Array(cpu.vectors.buffer, cpu.vectors.byteOffset, cpu.vectors.byteLength).set(state.vectors);
    cpu.ripLow = CODE;
  }

  #store(): CpuState {
    const { cpu, memory } = this.emulator;
    const state = emptyState();
    for (let register = 0; register < 16; register++) {
      state.general[register] = (BigInt(cpu.high(register) >>> 0) << 32n) | BigInt(cpu.low(register) >>> 0);
    }
    state.flags = BigInt(packFlags(cpu));
    for (let register = 0; register < 8; register++) {
      const low = BigInt((cpu.mmx[2 * register] ?? 0) >>> 0);
      state.mmx[register] = (BigInt((cpu.mmx[2 * register + 1] ?? 0) >>> 0) << 32n) | low;
    }
    state.vectors.set(new Uint8Array(cpu.vectors.buffer, cpu.vectors.byteOffset, cpu.vectors.byteLength));
    state.data.set(memory.peek(0, DATA, state.data.length));
    state.stack.set(memory.peek(0, STACK, state.stack.length));
    return state;
  }
}

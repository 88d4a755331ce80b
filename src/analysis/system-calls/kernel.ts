import { gvaOfWords } from '../../memory/address.ts';
import type { Cpu, KernelEntry } from '../emulator/cpu.ts';
import { R8, R9, R10, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP } from '../emulator/registers.ts';
import type { StopReason } from '../emulator/stop.ts';
import { type Answer, ENOSYS, type EnteredCall, type Outcome, type ProcessModel } from './answers/answer.ts';
import { FILE_ANSWERS } from './answers/files.ts';
import { MEMORY_ANSWERS } from './answers/memory.ts';
import { PROCESS_ANSWERS } from './answers/process.ts';
import { SOCKET_ANSWERS } from './answers/sockets.ts';
import { decodeArguments, type RawArgument } from './arguments.ts';
import type { Abi, SystemCall } from './call.ts';
import { Descriptors } from './descriptors.ts';
import { SOCKET_CALLS } from './signatures.ts';
import { systemCallName, X32_BIT } from './table.ts';

const ANSWERS: Readonly<Record<string, Answer>> = {
  ...FILE_ANSWERS,
  ...SOCKET_ANSWERS,
  ...MEMORY_ANSWERS,
  ...PROCESS_ANSWERS,
};

/** More are answered, but no longer kept. */
const MOST_CALLS = 512;
/** A real kernel has been asked this often by then only by code in a loop. */
const CALL_LIMIT = 20_000;

/** Argument registers (arch/x86/entry/entry_64.S and entry_32.S). */
const REGISTERS_64 = [RDI, RSI, RDX, R10, R8, R9] as const;
const REGISTERS_32 = [RBX, RCX, RDX, RSI, RDI, RBP] as const;

/**
 * Plays Linux for emulated code: knows the three ABIs, decodes arguments, and answers so that the code goes on to
 * show what it is for. Nothing outside the emulation is touched.
 */
export class KernelModel {
  readonly calls: SystemCall[] = [];
  /** Calls made, those that are not kept included. */
  count = 0;
  readonly process: ProcessModel;

  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.process = {
      memory: cpu.memory,
      pointerSize: 8,
      descriptors: new Descriptors(),
      mappings: [],
      nextMapping: cpu.bits === 64 ? 0x7f10_0000_0000 : 0xe000_0000,
      slept: 0,
    };
  }

  /** Serves the call that the registers describe; a reason when it does not return. */
  enter(entry: KernelEntry): StopReason | undefined {
    const cpu = this.#cpu;
    const number = cpu.low(RAX);
    const abi = abiOf(cpu, entry, number);
    const plainNumber = abi === 'x32' ? number & ~X32_BIT : number;
    const pointerSize = abi === 'x64' ? 8 : 4;
    this.process.pointerSize = pointerSize;
    const call = this.#entered(abi, entry, plainNumber, pointerSize);
    const outcome = answerOf(call, this.process);
    this.#keep(call, abi, entry, plainNumber, outcome);
    if (typeof outcome === 'object') return { kind: 'ended', by: outcome.ends };
    setResult(cpu, outcome, abi);
    if (entry === 'sysenter') skipRestart(cpu);
    return this.count >= CALL_LIMIT ? { kind: 'ended', by: 'the limit of system calls' } : undefined;
  }

  #entered(abi: Abi, entry: KernelEntry, number: number, pointerSize: 4 | 8): EnteredCall {
    const context = { memory: this.process.memory, pointerSize };
    const name = systemCallName(abi, number) ?? `syscall_${number >>> 0}`;
    const raw = this.#rawArguments(abi, entry);
    const inner = name === 'socketcall' ? this.#socketCall(raw) : undefined;
    const shown = inner ?? { name, raw };
    return { ...shown, decoded: decodeArguments(shown.name, shown.raw, context) };
  }

  #rawArguments(abi: Abi, entry: KernelEntry): RawArgument[] {
    const cpu = this.#cpu;
    const isNarrow = abi === 'i386';
    const raw = (isNarrow ? REGISTERS_32 : REGISTERS_64).map((register) => ({
      low: cpu.low(register),
      high: isNarrow ? 0 : cpu.high(register),
    }));
    // SYSENTER keeps the sixth argument on the user's stack (arch/x86/entry/entry_32.S).
    if (entry === 'sysenter') raw[5] = this.#loadWord(0, cpu.low(RSP));
    return raw;
  }

  /** i386's socketcall: a sub-call's number, and its arguments in memory. */
  #socketCall(raw: readonly RawArgument[]): Pick<EnteredCall, 'name' | 'raw'> | undefined {
    const name = SOCKET_CALLS[raw[0]?.low ?? 0];
    if (name === undefined || name === '') return undefined;
    const address = raw[1]?.low ?? 0;
    return {
      name,
      raw: Array.from({ length: 6 }, (_, index) => this.#loadWord(0, (address + 4 * index) | 0)),
    };
  }

  #loadWord(high: number, low: number): RawArgument {
    const bytes = this.process.memory.peek(high, low, 4);
    if (bytes.length < 4) return { low: 0, high: 0 };
    return { low: new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true), high: 0 };
  }

  #keep(call: EnteredCall, abi: Abi, entry: KernelEntry, number: number, outcome: Outcome): void {
    this.count++;
    if (this.calls.length >= MOST_CALLS) return;
    const cpu = this.#cpu;
    this.calls.push({
      name: call.name,
      number,
      abi,
      entry,
      address: gvaOfWords(cpu.ripHigh, cpu.ripLow),
      arguments: call.decoded,
      result: typeof outcome === 'object' ? undefined : BigInt(outcome),
    });
  }
}

/** Most calls succeed and do nothing; a number that Linux does not know fails. */
function answerOf(call: EnteredCall, process: ProcessModel): Outcome {
  if (call.name.startsWith('syscall_')) return ENOSYS;
  return ANSWERS[call.name]?.(call, process) ?? 0;
}

/** INT 0x80 and 32-bit mode speak i386; SYSCALL in 64-bit mode x64, or x32 when bit 30 of the number is set. */
function abiOf(cpu: Cpu, entry: KernelEntry, number: number): Abi {
  if (cpu.bits === 32 || entry !== 'syscall') return 'i386';
  return (number & X32_BIT) !== 0 && number >= 0 ? 'x32' : 'x64';
}

function setResult(cpu: Cpu, outcome: number, abi: Abi): void {
  const high = cpu.bits === 64 ? Math.floor(outcome / 0x1_0000_0000) | 0 : 0;
  cpu.set(RAX, outcome | 0, high);
  if (abi === 'i386' && cpu.bits === 64) cpu.set(RAX, outcome | 0, (outcome | 0) >> 31);
}

/**
 * After SYSENTER the kernel returns behind the INT 0x80 that the vDSO has there for restarts
 * (arch/x86/entry/vdso/vdso32/system_call.S).
 */
function skipRestart(cpu: Cpu): void {
  const [first, second] = cpu.memory.peek(cpu.nextHigh, cpu.nextLow, 2);
  if (first === 0xcd && second === 0x80) cpu.goTo((cpu.nextLow + 2) | 0, cpu.nextHigh);
}

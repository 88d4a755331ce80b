import type { KernelEntry } from '../emulator/cpu.ts';

/** Which table of numbers a call is looked up in. */
export type Abi = 'x64' | 'i386' | 'x32';

/** One argument of a system call. */
export interface SystemCallArgument {
  readonly name: string;
  readonly type: string;
  readonly value: bigint;
  /** As a person reads it: a quoted path, `127.0.0.1:4444`, `PROT_READ|PROT_EXEC`. */
  readonly text: string;
  /** The string, or the strings, that it points to. */
  readonly strings?: readonly string[];
}

/** A system call that emulated code made. */
export interface SystemCall {
  readonly name: string;
  readonly number: number;
  readonly abi: Abi;
  readonly entry: KernelEntry;
  /** Virtual address of the instruction that made it. */
  readonly address: bigint;
  readonly arguments: readonly SystemCallArgument[];
  /** What the model answered; undefined for calls that do not return. */
  readonly result: bigint | undefined;
}

/** `connect(3, 127.0.0.1:4444, 16) = 0`. */
export function describeCall(call: SystemCall): string {
  const list = call.arguments.map(({ text }) => text).join(', ');
  return `${call.name}(${list})${call.result === undefined ? '' : ` = ${call.result}`}`;
}

/** An argument by its name. */
export function argument(call: SystemCall, name: string): SystemCallArgument | undefined {
  return call.arguments.find((candidate) => candidate.name === name);
}

/** The first string that an argument points to. */
export function textOf(call: SystemCall, name: string): string | undefined {
  return argument(call, name)?.strings?.[0];
}

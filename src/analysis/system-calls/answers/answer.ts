import type { AddressSpace } from '../../emulator/memory/address-space.ts';
import type { RawArgument } from '../arguments.ts';
import type { SystemCallArgument } from '../call.ts';
import type { Descriptors } from '../descriptors.ts';

/** A system call as the model sees it. */
export interface EnteredCall {
  readonly name: string;
  readonly raw: readonly RawArgument[];
  readonly decoded: readonly SystemCallArgument[];
}

/** Where an executable mapping came from, for chains that end in jumping there. */
export interface Mapping {
  readonly start: number;
  readonly length: number;
  executable: boolean;
}

/** The process that emulated code believes to run in. */
export interface ProcessModel {
  readonly memory: AddressSpace;
  /** Of the call that is being answered. */
  pointerSize: 4 | 8;
  readonly descriptors: Descriptors;
  readonly mappings: Mapping[];
  /** Where the next mapping without a wish goes. */
  nextMapping: number;
  /** Milliseconds that the code has slept. */
  slept: number;
}

/** The value a call returns (negative: minus an errno), or how it ends the run. */
export type Outcome = number | { readonly ends: string };

export type Answer = (call: EnteredCall, process: ProcessModel) => Outcome;

export const EBADF = -9;
export const EFAULT = -14;
export const ENOENT = -2;
export const ENOSYS = -38;

/** The low word of an argument, signed: descriptors, counts, small numbers. */
export function word(call: EnteredCall, index: number): number {
  return call.raw[index]?.low ?? 0;
}

/** An argument as an address or length, exact below 2^53. */
export function wide(call: EnteredCall, index: number): number {
  const raw = call.raw[index] ?? { low: 0, high: 0 };
  return (raw.high >>> 0) * 0x1_0000_0000 + (raw.low >>> 0);
}

/** A null pointer is no address. */
export function isNull(call: EnteredCall, index: number): boolean {
  const raw = call.raw[index];
  return raw === undefined || (raw.low | raw.high) === 0;
}

/** Writes what the kernel would return through a pointer; false where it cannot be written. */
export function poke(call: EnteredCall, index: number, process: ProcessModel, bytes: Uint8Array): boolean {
  const raw = call.raw[index] ?? { low: 0, high: 0 };
  return process.memory.poke(raw.high, raw.low, bytes) === bytes.length;
}

/** 32-bit little-endian words. */
export function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(values).buffer);
}

import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { Btf } from './btf.ts';
import { type KernelMemory, KernelMemoryError } from './kernel-memory.ts';
import type { SymbolTable } from './symbols.ts';

/** Clocks beyond this (the year 36812) are not believed. */
const MAX_SECONDS = 2 ** 40;

/** What the guest's clocks showed when its kernel last looked: up to some seconds ago on an idle machine. */
export interface GuestClocks {
  /** Seconds since 1970. */
  readonly wall: number;
  /** Seconds since boot, without those asleep. */
  readonly uptime: number;
}

/** The guest's clocks; undefined when the kernel keeps them where this does not look, or they make no sense. */
export function guestClocks(memory: KernelMemory, symbols: SymbolTable, types: Btf): GuestClocks | undefined {
  const timekeeper = timekeeperAddress(symbols, types);
  const wallOffset = types.member('timekeeper', 'xtime_sec')?.offset;
  const uptimeOffset = types.member('timekeeper', 'ktime_sec')?.offset;
  if (timekeeper === undefined || wallOffset === undefined || uptimeOffset === undefined) return undefined;
  try {
    const wall = Number(memory.readU64(gva(timekeeper + BigInt(wallOffset))));
    const uptime = Number(memory.readU64(gva(timekeeper + BigInt(uptimeOffset))));
    return wall < MAX_SECONDS && uptime < MAX_SECONDS ? { wall, uptime } : undefined;
  } catch (error) {
    if (error instanceof KernelMemoryError) return undefined;
    throw error;
  }
}

/**
 * The core timekeeper (`kernel/time/timekeeping.c`): in `struct tk_data` from 6.13 on, the first of an array
 * in later kernels; before, in an unnamed struct behind its sequence counter.
 */
function timekeeperAddress(symbols: SymbolTable, types: Btf): GuestVirtualAddress | undefined {
  const core = symbols.find('tk_core') ?? symbols.find('timekeeper_data');
  if (core === undefined) return undefined;
  const offset = types.member('tk_data', 'timekeeper')?.offset ?? behindCounter(types);
  return offset === undefined ? undefined : gva(core + BigInt(offset));
}

/** `struct timekeeper` is aligned to 8 bytes. */
function behindCounter(types: Btf): number | undefined {
  const counter = types.struct('seqcount_raw_spinlock');
  return counter === undefined ? undefined : Math.ceil(counter.size / 8) * 8;
}

import type { MemorySnapshot } from '../analysis/emulator/memory/snapshot.ts';
import type { GuestVirtualAddress } from '../memory/address.ts';
import type { Registers } from '../x86/registers.ts';

/** `[start, end)` in a process's address space. */
export interface AddressRange {
  readonly start: GuestVirtualAddress;
  readonly end: GuestVirtualAddress;
}

/** What is known of a VMA when it is judged. */
export interface EvidenceVma extends AddressRange {
  /** As `/proc/PID/maps` prints them: `rwxp`. */
  readonly perms: string;
  readonly kind: 'anonymous' | 'stack' | 'heap';
  /** VM_WRITE is set now. */
  readonly writable: boolean;
  /** VM_WRITE was set at some time while it was tracked. */
  readonly wasWritable: boolean;
}

/** The stacks that a thread may be on. */
export interface KnownStacks {
  /** The process's main stack, where the thread may be on it. */
  readonly main: AddressRange | undefined;
  /** What held the thread's stack pointer when it was first run, or when it was adopted. */
  readonly own: AddressRange | undefined;
  /** Set by sigaltstack(2). */
  readonly alternate: AddressRange | undefined;
  /** The thread ran before the guard saw it: its stack may be another than the one it was found on. */
  readonly uncertain: boolean;
}

/** What the code would run with. */
export interface UserThread {
  readonly bits: 32 | 64;
  /** As they were in user mode, with the bases of FS and GS. */
  readonly registers: Registers;
  /** The process's memory; valid while the guest stands still. */
  readonly snapshot: MemorySnapshot;
}

/** All that the checks look at: what was fetched, from where, and by whom. */
export interface ExecutionEvidence {
  readonly address: GuestVirtualAddress;
  readonly stackPointer: GuestVirtualAddress;
  readonly vma: EvidenceVma;
  readonly stacks: KnownStacks;
  readonly page: {
    /** The leaf entry allows writes now. */
    readonly writable: boolean;
    /** The CPU marked it as written, or it holds other bytes than the zeros that anonymous memory begins with. */
    readonly written: boolean;
  };
  readonly thread: UserThread;
  /** From the address to the end of its page; empty where it could not be read. */
  readonly code: Uint8Array;
}

export function inRange(range: AddressRange | undefined, address: bigint): boolean {
  return range !== undefined && range.start <= address && address < range.end;
}

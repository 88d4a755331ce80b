import type { GuestVirtualAddress } from '../../memory/address.ts';
import type { Trap, TrapAnswer } from '../trap.ts';

/**
 * Changes one leaf entry of the running process's page tables, atomically for the guest, as long as it is what the
 * engine has seen; then `afterwards` says what comes, or, without it, the function is left out and the instruction
 * that faulted is tried again.
 */
export interface ExchangeAnswer {
  readonly kind: 'exchange';
  /** A user address of the page. */
  readonly address: GuestVirtualAddress;
  readonly expected: bigint;
  readonly value: bigint;
  readonly afterwards?: (exchanged: boolean, trap: Trap) => DetourAnswer;
}

/**
 * The function runs as if nothing had been, and this program need not be asked about again for a second: for hooks
 * that filter by programs.
 */
export interface IgnoreAnswer {
  readonly kind: 'ignore';
}

/** What a detour can do, more than a breakpoint. */
export type DetourAnswer = TrapAnswer | ExchangeAnswer | IgnoreAnswer;

/** Decides about one arrival; see `TrapHandler`. */
export type DetourHandler = (trap: Trap) => DetourAnswer;

import type { Kernel } from '../linux/kernel.ts';
import type { SymbolTable } from '../linux/symbols.ts';
import type { Debugger } from '../machine/machine.ts';
import type { GuestVirtualAddress } from '../memory/address.ts';
import type { Registers } from '../x86/registers.ts';

/** What transports need of the guest's kernel. */
export interface HookedKernel extends Pick<Kernel, 'memory'> {
  readonly symbols: Pick<SymbolTable, 'require' | 'findMany'>;
}

/** A place in the guest kernel where a trap is wanted: the entry of a function. */
export interface TrapSite {
  /** The function's name in kallsyms. */
  readonly symbol: string;
  readonly address: GuestVirtualAddress;
}

/** One arrival at a {@link TrapSite}: no instruction of the function has run yet. */
export interface Trap {
  readonly site: TrapSite;
  /** The vCPU that arrived, from 1 on. */
  readonly vcpu: number;
  /** At the function's entry: arguments in rdi, rsi, rdx, rcx, r8, r9; the return address at rsp (System V ABI). */
  readonly registers: Registers;
  /** When the trap reached the engine, in `performance.now()` milliseconds. */
  readonly arrivedAt: number;
}

/**
 * What happens to the vCPU that trapped.
 *
 * - `continue`: the function runs as if nothing had been
 * - `return`: the function is left out; `value` becomes its result
 * - `kill`: the function is left out; its caller's process gets SIGKILL by the kernel's own `force_sig`. Only at
 *   sites where the kernel itself might raise a signal: in process context, with no lock held
 * - `call`: the kernel function at `function` runs first, in this very context, and `afterwards` says what
 *   comes then. Only at sites where that function may be called: most want process context with interrupts on
 */
export type TrapAnswer =
  | { readonly kind: 'continue' }
  | { readonly kind: 'return'; readonly value?: bigint }
  | { readonly kind: 'kill' }
  | {
      readonly kind: 'call';
      readonly function: GuestVirtualAddress;
      /** At most six. */
      readonly arguments: readonly bigint[];
      readonly afterwards: (result: bigint, trap: Trap) => TrapAnswer;
    };

/** The function runs as if nothing had been. */
export const CONTINUE: TrapAnswer = { kind: 'continue' };
/** The function is left out. */
export const RETURN: TrapAnswer = { kind: 'return' };
/** The process gets SIGKILL. */
export const KILL: TrapAnswer = { kind: 'kill' };

/**
 * Decides about one trap, at once: the guest waits. It may read and write guest memory. Where it throws, the
 * answer is `continue` and the error is reported.
 */
export type TrapHandler = (trap: Trap) => TrapAnswer;

/** Why the traps of a machine came to an end. */
export type TrapsEnd =
  | { readonly reason: 'closed' | 'lost' }
  | { readonly reason: 'failed'; readonly error: unknown };

/** What a transport reports besides traps: an error in a handler, a stop that is nobody's. */
export type TrapProblem = (where: string, error: unknown) => void;

/**
 * Brings the guest's arrivals at chosen functions to the engine and its answers back. What is above does not
 * know how: by breakpoints of a debugger, or by stubs in the guest.
 */
export interface Traps extends AsyncDisposable {
  /** `breakpoint`, `doorbell` or `poll`. */
  readonly transport: string;
  /** How many traps have been answered. */
  readonly answered: number;
  /** From now on arrivals at the site go to the handler. */
  add(site: TrapSite, handler: TrapHandler): Promise<void>;
  /** From now on the site is as before. */
  remove(site: TrapSite): Promise<void>;
  /** Lets the guest run, and answers its traps from now on. */
  start(): void;
  /** Runs the work while every vCPU stands still, between two traps; the guest then goes on. */
  whileStopped<Result>(work: (debug: Debugger) => Result | Promise<Result>): Promise<Result>;
  /**
   * Asks while every vCPU stands still whether all is done; if so, takes every trap away at that very moment. Says
   * whether it did: never while a kernel function that an answer had called is still running.
   */
  closeWhen(ready: (debug: Debugger) => boolean | Promise<boolean>): Promise<boolean>;
  /** Settles when no trap will come any more; never rejects. */
  readonly ended: Promise<TrapsEnd>;
}

import type { EventBody, GuardCounters } from '../alerts/event.ts';
import type { EventQueue } from '../alerts/event-queue.ts';
import { UnderwatchError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import { hex } from '../memory/address.ts';
import type { WritablePhysicalMemory } from '../memory/physical-memory.ts';
import { Arming } from './arming.ts';
import type { CodeAnalysis } from './code-analysis.ts';
import { findProtectionMap } from './find-protection-map.ts';
import type { Policy } from './policy.ts';
import { ProcessInfo } from './process-info.ts';
import { ProtectedSpaces } from './protected-spaces.ts';
import { UserRegisters } from './user-registers.ts';

/** A guest that makes everything go wrong must not fill the disk: further problems are only counted. */
const MAX_PROBLEMS = 1000;

/** What a guard is made of, and what its parts share. */
export class GuardState {
  readonly kernel: Kernel;
  readonly memory: WritablePhysicalMemory;
  readonly policy: Policy;
  readonly analyse: CodeAnalysis;
  readonly arming: Arming;
  readonly info: ProcessInfo;
  readonly userRegisters: UserRegisters;
  readonly spaces = new ProtectedSpaces();
  readonly counters: GuardCounters = {
    traps: 0,
    protected: 0,
    armed: 0,
    examined: 0,
    allowed: 0,
    alerts: 0,
    repeated: 0,
    killed: 0,
    denied: 0,
    problems: 0,
  };
  /** Processes that ran before the guard are being armed: what one of them forks may be armed in part only. */
  adopting = true;
  /** The guard is on its way out: nothing new is armed. */
  stopping = false;
  readonly #events: EventQueue;

  /** @throws TargetError where the kernel lacks what is needed. */
  constructor(
    kernel: Kernel,
    memory: WritablePhysicalMemory,
    policy: Policy,
    analyse: CodeAnalysis,
    events: EventQueue,
  ) {
    this.kernel = kernel;
    this.memory = memory;
    this.policy = policy;
    this.analyse = analyse;
    this.#events = events;
    this.arming = new Arming(kernel, memory, findProtectionMap(kernel));
    this.info = new ProcessInfo(kernel);
    this.userRegisters = new UserRegisters(kernel);
  }

  /** Reports an event once the guest runs again. */
  emit(event: EventBody): void {
    this.#events.emit(event);
  }

  /** Reports something that went wrong; the guard goes on. */
  problem(where: string, error: unknown): void {
    this.counters.problems++;
    if (this.counters.problems > MAX_PROBLEMS) return;
    const message = error instanceof Error ? error.message : String(error);
    this.emit({ type: 'problem', where, message, address: addressOf(error) });
  }
}

/** The guest-virtual address that an error names. */
function addressOf(error: unknown): string | null {
  if (!(error instanceof UnderwatchError) || !('address' in error)) return null;
  return typeof error.address === 'bigint' ? hex(error.address) : null;
}

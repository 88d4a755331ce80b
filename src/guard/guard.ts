import type { GuardCounters, GuardEvent, Restored } from '../alerts/event.ts';
import { EventQueue } from '../alerts/event-queue.ts';
import type { EventSink } from '../alerts/sink.ts';
import type { RuleScanner } from '../analysis/rules/scanner.ts';
import { TargetError, TargetLostError } from '../errors.ts';
import { BreakpointTraps } from '../hooks/breakpoints/breakpoint-traps.ts';
import type { Traps } from '../hooks/trap.ts';
import type { Kernel } from '../linux/kernel.ts';
import type { Machine } from '../machine/machine.ts';
import { hex } from '../memory/address.ts';
import { adoptProcesses } from './adoption.ts';
import { codeAnalysis } from './code-analysis.ts';
import { warmUpDisassembler } from './evidence-gatherer.ts';
import { GuardState } from './guard-state.ts';
import { findHookSites, type HookSites, hookHandlers } from './hooks.ts';
import type { Policy } from './policy.ts';
import { Sweeper } from './sweeper.ts';

/** How a guard is made. */
export interface GuardOptions {
  /** A running machine; the guard is the only user of its debugger. */
  readonly machine: Machine;
  /** The kernel that was found in the machine's memory. */
  readonly kernel: Kernel;
  readonly policy: Policy;
  readonly sink: EventSink;
  /** Matched on the code that is judged, and on what it decodes. */
  readonly rules?: RuleScanner;
}

/** How a guard ended. */
export type GuardEnd = Extract<GuardEvent, { type: 'guard.stopped' }>;

/** The parts of a guard. */
interface GuardParts {
  readonly machine: string;
  readonly hypervisor: string;
  readonly state: GuardState;
  readonly events: EventQueue;
  readonly traps: Traps;
  readonly sites: HookSites;
  /** `performance.now()` when the machine was stopped. */
  readonly stoppedAt: number;
}

/**
 * Protects the processes of one running machine by a policy: arms what should not be executed, catches what is
 * executed all the same, and answers. However it ends, the guest has its own page protections back, its kernel
 * text is as before and it runs, unless the machine itself went away.
 */
export class Guard implements AsyncDisposable {
  /** Settles when the guard has ended, by {@link stop} or because the machine went away; never rejects. */
  readonly ended: Promise<GuardEnd>;
  readonly #parts: GuardParts;
  readonly #sweeper: Sweeper;
  #settle: (end: GuardEnd) => void = () => {};
  #stopping: Promise<GuardEnd> | undefined;

  private constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#sweeper = new Sweeper(parts.state, parts.traps, parts.hypervisor);
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /**
   * Attaches and protects; on return every process that the policy names is protected.
   * @throws TargetError where the machine is an image, cannot be debugged, or its kernel lacks what is needed;
   *   the guest is then as it was before
   */
  static async start(options: GuardOptions): Promise<Guard> {
    const { machine, kernel, policy, sink, rules } = options;
    const { live, name } = machine;
    if (live === undefined)
      throw new TargetError(`${name} is not a running machine: nothing in it can be guarded`);
    const events = new EventQueue(sink);
    const state = new GuardState(kernel, live.memory, policy, codeAnalysis(rules), events);
    const sites = findHookSites(kernel);
    warmUpDisassembler();
    const stoppedAt = performance.now();
    const traps = new BreakpointTraps({
      debugger: await live.debug(),
      kernel,
      memory: live.memory,
      report: (where, error) => state.problem(where, error),
    });
    const parts = { machine: name, hypervisor: live.hypervisor, state, events, traps, sites, stoppedAt };
    const guard = new Guard(parts);
    await guard.#begin();
    return guard;
  }

  /** What was counted so far. */
  get counters(): GuardCounters {
    return { ...this.#parts.state.counters, traps: this.#parts.traps.answered };
  }

  /** Gives everything back and detaches. May be called any number of times. */
  stop(): Promise<GuardEnd> {
    this.#stopping ??= this.#stop('asked');
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #begin(): Promise<void> {
    const { state, traps, sites } = this.#parts;
    try {
      for (const [site, handler] of hookHandlers(state, sites)) await traps.add(site, handler);
      const adopted = adoptProcesses(state);
      await traps.whileStopped((debug) => this.#sweeper.arm(adopted, debug));
      this.#announce(adopted.length);
      traps.start();
      void this.#watch();
      if (adopted.length > 0) await this.#sweeper.settle(adopted);
      state.adopting = false;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  #announce(adopted: number): void {
    const { machine, hypervisor, state, traps, sites, stoppedAt } = this.#parts;
    state.emit({
      type: 'guard.started',
      machine,
      hypervisor,
      kernel: state.kernel.release,
      transport: traps.transport,
      hooks: Object.values(sites).map(({ symbol, address }) => ({ symbol, address: hex(address) })),
      adopted,
      stoppedMs: performance.now() - stoppedAt,
    });
  }

  /** Traps that end by themselves end the guard. */
  async #watch(): Promise<void> {
    const end = await this.#parts.traps.ended;
    if (end.reason === 'closed') return;
    if (end.reason === 'failed') this.#parts.state.problem('the debugger', end.error);
    this.#stopping ??= this.#stop(end.reason);
  }

  async #stop(reason: GuardEnd['reason']): Promise<GuardEnd> {
    const { state, traps, events } = this.#parts;
    state.stopping = true;
    traps.start();
    const restored = await this.#giveBack(reason);
    await traps[Symbol.asyncDispose]();
    const { reason: how } = await traps.ended;
    const outcome = reason === 'asked' && how !== 'closed' ? how : reason;
    const body = { type: 'guard.stopped', reason: outcome, counters: this.counters, restored } as const;
    const stopped = events.emit(body) as GuardEnd;
    events.flush();
    this.#settle(stopped);
    return stopped;
  }

  async #giveBack(reason: GuardEnd['reason']): Promise<Restored> {
    const { traps, sites } = this.#parts;
    try {
      if (reason !== 'asked') return this.#sweeper.restoreRunning();
      // A guest that maps a lot would stand at one of these hooks, in the middle of a change, whenever it is stopped.
      for (const site of [sites.arm, sites.executed]) await traps.remove(site);
      return await this.#sweeper.restore();
    } catch (error) {
      if (!(error instanceof TargetLostError)) this.#parts.state.problem('giving back', error);
      return { vmas: 0, pages: 0, complete: false };
    }
  }
}

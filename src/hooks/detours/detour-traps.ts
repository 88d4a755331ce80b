import { setTimeout as delay } from 'node:timers/promises';
import { TargetError, TargetLostError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { Debugger } from '../../machine/machine.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import type { Journal } from '../journal/journal.ts';
import type { TrapProblem, TrapSite, Traps, TrapsEnd } from '../trap.ts';
import type { DetourHandler } from './answers.ts';
import { DetouredFunctions } from './detoured-functions.ts';
import { FILTER_CAPACITY, type FilterTable } from './filter-table.ts';
import { type Foothold, gainFoothold } from './foothold.ts';
import type { DetourSite } from './hook.ts';
import type { FailureMode } from './hooks-table.ts';
import { leaveGuest } from './leave-guest.ts';
import type { MailboxCounters, StubCost } from './mailbox.ts';
import { RequestServer } from './request-server.ts';
import type { Rings } from './rings.ts';

/** How often the engine shows that it lives, and looks for what rang in vain, in milliseconds. */
const HEARTBEAT = 10;
const BEATS_A_SECOND = 100;
/** Tries to find nobody inside the instructions that are to be replaced, and the pause between them (ms). */
const PATCH_TRIES = 200;
const PATCH_PAUSE = 2;

/** What detours are made of. */
export interface DetourTrapsOptions {
  /** How the user named the machine. */
  readonly machine: string;
  /** Of a machine that stands still; from now on this transport's alone. */
  readonly debugger: Debugger;
  readonly kernel: Kernel;
  readonly memory: WritablePhysicalMemory;
  readonly rings: Rings;
  /** Must hold nothing: see `recover`. */
  readonly journal: Journal;
  readonly report: TrapProblem;
  /** Settles when the machine goes away. */
  readonly gone: Promise<void>;
  /** By default `open`. */
  readonly failureMode?: FailureMode;
  /** Told around every moment in which the engine keeps the machine from running. */
  readonly keeper?: { stopping(): void; running(): void };
  /** Called when requests were not answered in time, or found no slot: events have been lost. */
  readonly onLoss?: (counters: MailboxCounters) => void;
}

/** What one function's arrivals have cost. */
export interface HookCost extends StubCost {
  readonly symbol: string;
}

/**
 * Traps by stubs in the guest's kernel: a stub filters arrivals in the guest and puts what remains into a mailbox in
 * guest RAM. Only the task that arrived waits; the machine is stopped for the moments alone in which text is changed.
 *
 * Stubs stay, unused, when their site is removed, and leave the guest together when this is disposed of.
 */
export class DetourTraps implements Traps {
  readonly transport: 'doorbell' | 'poll';
  readonly ended: Promise<TrapsEnd>;
  readonly #options: DetourTrapsOptions;
  readonly #foothold: Foothold;
  readonly #functions: DetouredFunctions;
  readonly #server: RequestServer;
  #settle: (end: TrapsEnd) => void = () => {};
  #turn: Promise<unknown> = Promise.resolve();
  #heartbeat: NodeJS.Timeout | undefined;
  #started = false;
  #stopped = true;
  #over = false;
  readonly #reported = new Set<string>();
  #lost = 0;
  #beats = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: DetourTrapsOptions, foothold: Foothold) {
    const { kernel, journal, failureMode = 'open', report, rings, gone } = options;
    this.transport = rings.transport;
    this.#options = options;
    this.#foothold = foothold;
    this.#functions = new DetouredFunctions(kernel, foothold, journal, failureMode);
    const siteOf = (stub: number) => this.#functions.ofStub(stub);
    this.#server = new RequestServer(kernel, foothold.mailbox, siteOf, (key) => this.#ignore(key), report);
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    void gone.then(() => this.#finish({ reason: 'lost' }));
  }

  /** Makes room in the guest. @throws TargetError with the reason where that cannot be had: breakpoints are the other way */
  static async install(options: DetourTrapsOptions): Promise<DetourTraps> {
    const { debugger: debug, kernel, memory, machine, rings, journal } = options;
    return new DetourTraps(
      options,
      await gainFoothold({ debug, kernel, memory }, machine, rings.port, journal),
    );
  }

  /** The address spaces whose arrivals matter, for hooks that filter by them. */
  get addressSpaces(): FilterTable {
    return this.#foothold.addressSpaces;
  }

  get answered(): number {
    return this.#server.answered;
  }

  /** What the guest's side has counted. */
  get counters(): MailboxCounters {
    return this.#foothold.mailbox.counters;
  }

  /** What each function's arrivals have cost the guest so far. */
  get costs(): readonly HookCost[] {
    const { mailbox } = this.#foothold;
    return [...this.#functions].map(({ number, site }) => ({ symbol: site.symbol, ...mailbox.cost(number) }));
  }

  /** Milliseconds that the engine itself has spent on arrivals. */
  get busy(): number {
    return this.#server.busy;
  }

  async add(site: DetourSite, handler: DetourHandler): Promise<void> {
    for (let attempt = 0; attempt < PATCH_TRIES; attempt++) {
      if (await this.whileStopped((debug) => this.#functions.tryAdd(debug, site, handler))) return;
      if (!this.#started) this.#options.debugger.resume();
      await delay(PATCH_PAUSE);
    }
    throw new TargetError(`the guest never leaves the first instructions of ${site.symbol}`);
  }

  remove(site: TrapSite): Promise<void> {
    return this.whileStopped((debug) => this.#functions.remove(debug, site));
  }

  start(): void {
    if (this.#started || this.#over) return;
    this.#started = true;
    this.#foothold.mailbox.open(this.#foothold.limit);
    this.#options.rings.start(() => this.#look());
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT);
    this.#resume();
  }

  whileStopped<Result>(work: (debug: Debugger) => Result | Promise<Result>): Promise<Result> {
    const result = this.#turn.then(() => this.#stopFor(work));
    this.#turn = result.catch(() => {});
    return result;
  }

  closeWhen(ready: (debug: Debugger) => boolean | Promise<boolean>): Promise<boolean> {
    return this.whileStopped(async (debug) => {
      if (this.#server.hasCalls || !(await ready(debug))) return false;
      await this.#functions.removeAll(debug);
      return true;
    });
  }

  /** Takes every detour away, and the stubs once nobody is in them; the machine runs afterwards. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    let end: TrapsEnd = { reason: 'closed' };
    try {
      if (!this.#over) await this.whileStopped((debug) => this.#withdraw(debug));
    } catch (error) {
      end = error instanceof TargetLostError ? { reason: 'lost' } : { reason: 'failed', error };
    }
    await this.#options.debugger[Symbol.asyncDispose]();
    this.#options.keeper?.running();
    this.#finish(end);
  }

  async #withdraw(debug: Debugger): Promise<void> {
    const { kernel, memory, journal } = this.#options;
    await leaveGuest({ debug, kernel, memory }, this.#foothold.record, journal, () => this.#server.serve());
    this.#over = true;
  }

  #finish(end: TrapsEnd): void {
    this.#over = true;
    clearInterval(this.#heartbeat);
    this.#options.rings.stop();
    this.#settle(end);
  }

  async #stopFor<Result>(work: (debug: Debugger) => Result | Promise<Result>): Promise<Result> {
    if (this.#over) throw new TargetLostError('the machine is no longer being debugged');
    const { debugger: debug, keeper } = this.#options;
    keeper?.stopping();
    await debug.interrupt();
    this.#stopped = true;
    try {
      return await work(debug);
    } finally {
      if (this.#started && !this.#over) this.#resume();
    }
  }

  #resume(): void {
    this.#stopped = false;
    this.#options.debugger.resume();
    this.#options.keeper?.running();
    this.#look();
  }

  #look(): number {
    return this.#stopped ? 0 : this.#server.serve();
  }

  /** Answers what rang in vain; lets the guest ask again after a request that came too late. */
  #beat(): void {
    try {
      this.#look();
      const { mailbox, programs, limit } = this.#foothold;
      if (++this.#beats % BEATS_A_SECOND === 0) {
        programs.clear();
        this.#checkText();
      }
      if (mailbox.hasTripped && this.#closing === undefined) mailbox.open(limit);
      this.#countLosses(mailbox.counters);
    } catch (error) {
      this.#options.report('the mailbox', error);
    }
  }

  /** Says once of each function that its detour has been changed; not while text is being changed by us. */
  #checkText(): void {
    if (this.#stopped) return;
    for (const symbol of this.#functions.changed()) {
      if (this.#reported.has(symbol)) continue;
      this.#reported.add(symbol);
      this.#options.report(symbol, new TargetError('somebody in the guest has changed its detour'));
    }
  }

  /** For a second: then directories may have other names, and its file is another program's. */
  #ignore(key: bigint): void {
    const { programs } = this.#foothold;
    if (programs.count >= FILTER_CAPACITY) programs.clear();
    if (key > 1n) programs.add(key);
  }

  #countLosses(counters: MailboxCounters): void {
    const lost = counters.timeouts + counters.dropped;
    if (lost === this.#lost) return;
    this.#lost = lost;
    this.#options.onLoss?.(counters);
  }
}

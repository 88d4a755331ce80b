import { setTimeout as delay } from 'node:timers/promises';
import { TargetError, TargetLostError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { Debugger } from '../../machine/machine.ts';
import { hex } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import { identify } from '../journal/guest-identity.ts';
import type { Journal, JournalPatch, JournalRecord } from '../journal/journal.ts';
import type { TrapProblem, Traps, TrapsEnd } from '../trap.ts';
import type { DetourHandler } from './answers.ts';
import { FilterTable } from './filter-table.ts';
import { allocatePages } from './guest-pages.ts';
import type { DetourSite, Hook } from './hook.ts';
import { type FailureMode, hookFor } from './hooks-table.ts';
import { Mailbox, type MailboxCounters, type StubCost, ticksOf } from './mailbox.ts';
import { MAILBOX_SIZE } from './mailbox-layout.ts';
import { findGap } from './placement.ts';
import { findPrologue, jumpTo, type Prologue } from './prologue.ts';
import { findOccupant } from './quiescence.ts';
import { RequestServer, type ServedSite } from './request-server.ts';
import type { Rings } from './rings.ts';
import { StubArea } from './stub-area.ts';
import { stubEnvironment } from './stubs/environment.ts';
import { TextRecords } from './text-records.ts';
import { writeText } from './text-writer.ts';
import { restoreText, withdraw } from './withdrawal.ts';

/** How long a request waits before it is let go, in milliseconds: 200 is too short on a host that is loaded four times over. */
const REQUEST_LIMIT = 500;
/** How often the engine shows that it lives, and looks for what rang in vain, in milliseconds. */
const HEARTBEAT = 10;
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
  readonly failureMode?: FailureMode;
  /** Told around every moment in which the engine keeps the machine from running. */
  readonly keeper?: { stopping(): void; running(): void };
  /** Called when requests were not answered in time, or found no slot: events have been lost. */
  readonly onLoss?: (counters: MailboxCounters) => void;
}

/** One function with a detour. */
interface Detour {
  readonly number: number;
  readonly site: DetourSite;
  readonly handler: DetourHandler;
  readonly patch: JournalPatch;
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
  /** The address spaces whose arrivals matter, for hooks that filter by them. */
  readonly addressSpaces: FilterTable;
  readonly #options: DetourTrapsOptions;
  readonly #record: JournalRecord;
  readonly #mailbox: Mailbox;
  readonly #area: StubArea;
  readonly #records: TextRecords;
  readonly #server: RequestServer;
  readonly #limit: bigint;
  /** Every stub that was ever written, by the address of its function. */
  readonly #stubs = new Map<bigint, Detour>();
  readonly #served: ServedSite[] = [];
  #settle: (end: TrapsEnd) => void = () => {};
  #turn: Promise<unknown> = Promise.resolve();
  #heartbeat: NodeJS.Timeout | undefined;
  #started = false;
  #stopped = true;
  #over = false;
  #lost = 0;
  #closing: Promise<void> | undefined;

  private constructor(
    options: DetourTrapsOptions,
    record: JournalRecord,
    parts: { mailbox: Mailbox; area: StubArea; addressSpaces: FilterTable; limit: bigint },
  ) {
    this.#options = options;
    this.#record = record;
    this.#mailbox = parts.mailbox;
    this.#area = parts.area;
    this.#limit = parts.limit;
    this.addressSpaces = parts.addressSpaces;
    this.transport = options.rings.transport;
    this.#records = new TextRecords(options.kernel);
    this.#server = new RequestServer(
      options.kernel,
      parts.mailbox,
      (stub) => this.#served[stub],
      options.report,
    );
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    void options.gone.then(() => this.#finish({ reason: 'lost' }));
  }

  /**
   * Makes room in the guest: a gap in its text, and pages from its allocator, for which it runs a moment.
   * @throws TargetError with the reason where that cannot be had: breakpoints are the other way
   */
  static async install(options: DetourTrapsOptions): Promise<DetourTraps> {
    const { debugger: debug, kernel, memory, rings, journal, machine } = options;
    const limit = ticksOf(kernel, REQUEST_LIMIT);
    if (limit === undefined) throw new TargetError('the guest has no time-stamp counter that it trusts');
    const gap = findGap(kernel);
    const record: JournalRecord = {
      version: 1,
      machine,
      guest: identify(kernel),
      gap: { start: hex(gap.start), size: gap.size },
      mailbox: null,
      patches: [],
    };
    await journal.write(record);
    const pages = await allocatePages({ debug, kernel, memory }, Math.log2(MAILBOX_SIZE / PAGE_SIZE));
    record.mailbox = { address: hex(pages.address), order: pages.order };
    await journal.write(record);
    const environment = stubEnvironment(kernel, {
      mailbox: pages.address,
      filterTable: gap.start,
      doorbellPort: rings.port,
    });
    const mailbox = new Mailbox(memory, pages.physical);
    mailbox.clear();
    const addressSpaces = new FilterTable(memory, gap.physical);
    const area = new StubArea(kernel, environment, gap);
    await area.writeShared(debug);
    return new DetourTraps(options, record, { mailbox, area, addressSpaces, limit });
  }

  get answered(): number {
    return this.#server.answered;
  }

  /** What the guest's side has counted. */
  get counters(): MailboxCounters {
    return this.#mailbox.counters;
  }

  /** What each function's arrivals have cost the guest so far. */
  get costs(): readonly HookCost[] {
    return [...this.#stubs.values()].map(({ number, site }) => ({
      symbol: site.symbol,
      ...this.#mailbox.cost(number),
    }));
  }

  /** Milliseconds that the engine itself has spent on arrivals. */
  get busy(): number {
    return this.#server.busy;
  }

  async add(site: DetourSite, handler: DetourHandler): Promise<void> {
    for (let attempt = 0; attempt < PATCH_TRIES; attempt++) {
      if (await this.whileStopped((debug) => this.#tryAdd(debug, site, handler))) return;
      await this.#runFor(PATCH_PAUSE);
    }
    throw new TargetError(`the guest never leaves the first instructions of ${site.symbol}`);
  }

  remove(site: DetourSite): Promise<void> {
    return this.whileStopped(async (debug) => {
      const detour = this.#stubs.get(site.address);
      if (detour === undefined || !this.#record.patches.includes(detour.patch)) return;
      await this.#restore(debug, [detour.patch]);
    });
  }

  start(): void {
    if (this.#started || this.#over) return;
    this.#started = true;
    this.#mailbox.open(this.#limit);
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
      await this.#restore(debug, [...this.#record.patches]);
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
      await this.whileStopped((debug) => this.#withdraw(debug));
    } catch (error) {
      end = error instanceof TargetLostError ? { reason: 'lost' } : { reason: 'failed', error };
    }
    await this.#options.debugger[Symbol.asyncDispose]();
    this.#options.keeper?.running();
    this.#finish(end);
  }

  #finish(end: TrapsEnd): void {
    this.#over = true;
    clearInterval(this.#heartbeat);
    this.#options.rings.stop();
    this.#settle(end);
  }

  async #withdraw(debug: Debugger): Promise<void> {
    const { kernel, memory, journal } = this.#options;
    await this.#restore(debug, [...this.#record.patches]);
    await withdraw({ debug, kernel, memory }, this.#record, () => this.#server.serve());
    await journal.remove();
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
      if (this.#started) this.#resume();
    }
  }

  #resume(): void {
    this.#stopped = false;
    this.#options.debugger.resume();
    this.#options.keeper?.running();
    this.#look();
  }

  /** Lets the machine run for that many milliseconds where it would not by itself. */
  async #runFor(milliseconds: number): Promise<void> {
    if (!this.#started) this.#options.debugger.resume();
    await delay(milliseconds);
  }

  #look(): number {
    return this.#stopped ? 0 : this.#server.serve();
  }

  /** Answers what rang in vain; lets the guest ask again after a request that came too late. */
  #beat(): void {
    try {
      this.#look();
      if (this.#mailbox.hasTripped && this.#closing === undefined) this.#mailbox.open(this.#limit);
      const { counters } = this;
      const lost = counters.timeouts + counters.dropped;
      if (lost === this.#lost) return;
      this.#lost = lost;
      this.#options.onLoss?.(counters);
    } catch (error) {
      this.#options.report('the mailbox', error);
    }
  }

  /** False where somebody is inside the instructions that are to be replaced. */
  async #tryAdd(debug: Debugger, site: DetourSite, handler: DetourHandler): Promise<boolean> {
    const { kernel } = this.#options;
    const known = this.#stubs.get(site.address);
    if (known !== undefined && this.#record.patches.includes(known.patch))
      throw new TargetError(`there is a trap on ${site.symbol} already`);
    const prologue = this.#prologue(site);
    const range = { start: prologue.site + 1n, end: prologue.site + BigInt(prologue.displaced.length) };
    if ((await findOccupant(debug, kernel, [range])) !== undefined) return false;
    const detour =
      known === undefined ? await this.#write(debug, site, handler, prologue) : { ...known, handler };
    this.#stubs.set(site.address, detour);
    this.#served[detour.number] = { site, handler };
    this.#record.patches.push(detour.patch);
    await this.#options.journal.write(this.#record);
    await writeText(debug, kernel.memory, prologue.site, Buffer.from(detour.patch.patched, 'hex'));
    return true;
  }

  #prologue(site: DetourSite): Prologue {
    const { memory, symbols } = this.#options.kernel;
    try {
      const prologue = findPrologue(memory, symbols, site.address);
      this.#records.requireNone(prologue.site, prologue.displaced.length);
      return prologue;
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      throw new TargetError(`${site.symbol} cannot have a detour: ${error.message}`, { cause: error });
    }
  }

  async #write(
    debug: Debugger,
    site: DetourSite,
    handler: DetourHandler,
    prologue: Prologue,
  ): Promise<Detour> {
    const { layout } = this.#options.kernel;
    const hook: Hook = site.hook ?? hookFor(site.symbol, layout, this.#options.failureMode ?? 'open');
    const { number, stub } = await this.#area.writeHook(debug, hook, prologue);
    const patch = {
      symbol: site.symbol,
      address: hex(prologue.site),
      original: Buffer.from(prologue.displaced).toString('hex'),
      patched: Buffer.from(jumpTo(prologue, stub.base)).toString('hex'),
    };
    return { number, site, handler, patch };
  }

  async #restore(debug: Debugger, patches: readonly JournalPatch[]): Promise<void> {
    await restoreText(debug, this.#options.kernel.memory, patches);
    this.#record.patches = this.#record.patches.filter((patch) => !patches.includes(patch));
    await this.#options.journal.write(this.#record);
  }
}

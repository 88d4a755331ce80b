import { TargetError, TargetLostError } from '../../errors.ts';
import type { Debugger, DebugStop, RegisterChanges } from '../../machine/machine.ts';
import { hex } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import type {
  HookedKernel,
  Trap,
  TrapAnswer,
  TrapHandler,
  TrapProblem,
  TrapSite,
  Traps,
  TrapsEnd,
} from '../trap.ts';
import { BreakpointAnswers, type FinishedCall } from './answers.ts';
import { Prologue } from './prologue.ts';
import { StoppedWork } from './stopped-work.ts';

/** How long closing waits for kernel functions that the engine had called in the guest, in milliseconds. */
const CALLS_LIMIT = 5000;

/** What breakpoints are made of. */
export interface BreakpointTrapsOptions {
  /** Of a machine that stands still; from now on this transport's alone. */
  readonly debugger: Debugger;
  readonly kernel: HookedKernel;
  readonly memory: WritablePhysicalMemory;
  readonly report: TrapProblem;
}

interface Installed {
  readonly site: TrapSite;
  readonly handler: TrapHandler;
  readonly prologue: Prologue;
}

/** On which vCPU the machine goes on, and with what registers. */
interface Resumption {
  readonly vcpu?: number;
  readonly changes?: RegisterChanges;
}

/**
 * Traps by breakpoints of QEMU's gdbstub: needs nothing but a running machine; each trap stops all of it.
 *
 * The guest is resumed behind the NOP at a function's entry, so that the breakpoint stays where it is. When
 * several vCPUs arrive at once one is reported and the others arrive again, so none is lost. However this ends,
 * the breakpoints are gone and the machine runs, unless the machine itself is gone.
 */
export class BreakpointTraps implements Traps {
  readonly transport = 'breakpoint';
  readonly ended: Promise<TrapsEnd>;
  readonly #debugger: Debugger;
  readonly #kernel: HookedKernel;
  readonly #report: TrapProblem;
  readonly #answers: BreakpointAnswers;
  readonly #sites = new Map<bigint, Installed>();
  readonly #work = new StoppedWork();
  #settle: (end: TrapsEnd) => void = () => {};
  #answered = 0;
  #started = false;
  #over = false;
  #interrupting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor({ debugger: debug, kernel, memory, report }: BreakpointTrapsOptions) {
    this.#debugger = debug;
    this.#kernel = kernel;
    this.#report = report;
    this.#answers = new BreakpointAnswers(kernel, memory);
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get answered(): number {
    return this.#answered;
  }

  add(site: TrapSite, handler: TrapHandler): Promise<void> {
    return this.whileStopped(async (debug) => {
      if (this.#sites.has(site.address)) throw new TargetError(`there is a trap on ${site.symbol} already`);
      const prologue = new Prologue(this.#kernel.memory, site.address);
      await debug.insertBreakpoint(site.address);
      this.#sites.set(site.address, { site, handler, prologue });
    });
  }

  remove(site: TrapSite): Promise<void> {
    return this.whileStopped((debug) => this.#removeSite(debug, site.address));
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#run();
  }

  async whileStopped<Result>(work: (debug: Debugger) => Result | Promise<Result>): Promise<Result> {
    if (this.#over) throw new TargetLostError('the machine is no longer being debugged');
    const result = this.#work.add(() => work(this.#debugger));
    if (!this.#started) await this.#work.drain();
    else if (this.#debugger.running) this.#interrupt();
    return result;
  }

  async closeWhen(ready: (debug: Debugger) => boolean | Promise<boolean>): Promise<boolean> {
    return this.whileStopped(async (debug) => {
      if (this.#answers.callsInFlight > 0 || !(await ready(debug))) return false;
      await this.#leave(debug);
      return true;
    });
  }

  /** Takes every breakpoint away and lets the machine run. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (!this.#over) {
        await this.#callsToEnd();
        await this.whileStopped((debug) => this.#leave(debug));
      }
    } catch (error) {
      // The debugger's own end takes away what is left, and `ended` tells of a loss.
      if (!(error instanceof TargetLostError)) this.#report('removing breakpoints', error);
    }
    if (this.#started) await this.ended;
    else await this.#finish({ reason: 'closed' });
  }

  async #leave(debug: Debugger): Promise<void> {
    this.#over = true;
    for (const address of [...this.#sites.keys()]) await this.#removeSite(debug, address);
  }

  /** A called function returns onto its breakpoint: until then that one must stay. */
  async #callsToEnd(): Promise<void> {
    const deadline = performance.now() + CALLS_LIMIT;
    while (this.#answers.callsInFlight > 0 && !this.#over && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async #removeSite(debug: Debugger, address: bigint): Promise<void> {
    const installed = this.#sites.get(address);
    if (installed === undefined) return;
    await debug.removeBreakpoint(installed.site.address);
    this.#sites.delete(address);
  }

  /** The debugger may ask the stub things before an interrupt is over; the machine must not be resumed until then. */
  #interrupt(): void {
    if (this.#interrupting !== undefined) return;
    this.#interrupting = this.#debugger.interrupt();
    this.#interrupting.catch((error: Error) => this.#giveUp(error));
  }

  /** A machine that cannot be stopped is as good as lost: the debugger's end wakes the loop. */
  #giveUp(error: Error): void {
    this.#work.abandon(error);
    const detached = Promise.resolve(this.#debugger[Symbol.asyncDispose]());
    detached.catch((problem: unknown) => this.#report('detaching', problem));
  }

  async #run(): Promise<void> {
    try {
      let next: Resumption = {};
      for (;;) {
        // No pause between the last look at the work and the resumption, or work could be left waiting.
        while (!this.#work.isEmpty) await this.#work.drain();
        if (this.#over) break;
        this.#debugger.resume(next.vcpu, next.changes);
        next = await this.#answer(await this.#nextStop());
      }
      if (next.vcpu !== undefined) await this.#debugger.writeRegisters(next.vcpu, next.changes ?? {});
      await this.#finish({ reason: 'closed' });
    } catch (error) {
      await this.#finish(error instanceof TargetLostError ? { reason: 'lost' } : { reason: 'failed', error });
    }
  }

  async #nextStop(): Promise<DebugStop> {
    const stop = await this.#debugger.nextStop();
    await this.#interrupting;
    this.#interrupting = undefined;
    return stop;
  }

  async #finish(end: TrapsEnd): Promise<void> {
    this.#over = true;
    this.#work.abandon(new TargetLostError('the machine is no longer being debugged'));
    let outcome = end;
    try {
      await this.#debugger[Symbol.asyncDispose]();
    } catch (error) {
      const lost = error instanceof TargetLostError;
      if (end.reason === 'closed') outcome = lost ? { reason: 'lost' } : { reason: 'failed', error };
    }
    this.#settle(outcome);
  }

  async #answer(stop: DebugStop): Promise<Resumption> {
    if (stop.reason === 'interrupt') return {};
    const installed = this.#sites.get(stop.registers.get('rip'));
    if (installed === undefined) return this.#passOn(stop);
    const arrival: Trap = { ...stop, site: installed.site, arrivedAt: performance.now() };
    const finished = this.#answers.takeCall(arrival);
    const trap = finished?.trap ?? arrival;
    const changes = this.#ask(installed, trap, finished);
    if (changes !== undefined) return { vcpu: stop.vcpu, changes: { ...finished?.restore, ...changes } };
    return this.#goOn(installed, stop.vcpu, finished?.restore);
  }

  /** The register changes that the handler's answer means; undefined to go on with the function. */
  #ask(installed: Installed, trap: Trap, finished: FinishedCall | undefined): RegisterChanges | undefined {
    try {
      const answer: TrapAnswer = finished === undefined ? installed.handler(trap) : finished.next();
      if (answer.kind !== 'call') this.#answered++;
      return answer.kind === 'continue' ? undefined : this.#answers.changes(trap, answer);
    } catch (error) {
      this.#answered++;
      this.#report(`the trap on ${installed.site.symbol}`, error);
      return undefined;
    }
  }

  /** Lets the function run: from behind its NOPs, else from behind its first instruction. */
  async #goOn(installed: Installed, vcpu: number, restore: RegisterChanges | undefined): Promise<Resumption> {
    const length = installed.prologue.length(this.#kernel.memory);
    const rip = installed.site.address + BigInt(length);
    if (length > 0) return { vcpu, changes: { ...restore, rip } };
    if (restore !== undefined) await this.#debugger.writeRegisters(vcpu, restore);
    // QEMU ignores breakpoints while it steps, so the one that was met may stay.
    await this.#debugger.step(vcpu);
    return {};
  }

  /** A breakpoint that somebody else set through the same stub: the guest goes on behind it. */
  async #passOn(stop: DebugStop): Promise<Resumption> {
    const where = `a stop at ${hex(stop.registers.get('rip'))}`;
    this.#report(where, new TargetError('no breakpoint of the guard is there'));
    await this.#debugger.step(stop.vcpu);
    return {};
  }
}

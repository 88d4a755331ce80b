import { TargetError, UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { HookedKernel, Trap, TrapProblem, TrapSite } from '../trap.ts';
import type { DetourAnswer, DetourHandler } from './answers.ts';
import type { Mailbox, Request, Verdict } from './mailbox.ts';
import { Action, SLOT_COUNT } from './mailbox-layout.ts';

/** More kernel functions called for one arrival than any handler has use for. */
const MAX_CALLS = 64;
/** More CPUs than any guest has: a bound on a number that the guest gives. */
const MAX_CPUS = 8192;

/** Who answers for one stub. */
export interface ServedSite {
  readonly site: TrapSite;
  readonly handler: DetourHandler;
}

/** A kernel function, or an exchange, that the guest is carrying out before it asks again. */
interface PendingCall {
  readonly trap: Trap;
  readonly calls: number;
  readonly task: GuestVirtualAddress;
  readonly afterwards: (result: bigint, trap: Trap) => DetourAnswer;
}

/** What is needed of a kernel. */
interface ServerKernel extends Pick<HookedKernel, 'memory'> {
  readonly symbols: Pick<HookedKernel['symbols'], 'require'>;
}

/** Takes requests out of the mailbox, has them decided, and puts verdicts in. */
export class RequestServer {
  readonly #kernel: ServerKernel;
  readonly #mailbox: Mailbox;
  readonly #siteOf: (stub: number) => ServedSite | undefined;
  readonly #ignore: (key: bigint) => void;
  readonly #report: TrapProblem;
  readonly #pending = new Map<number, PendingCall>();
  #answered = 0;
  #busy = 0;

  constructor(
    kernel: ServerKernel,
    mailbox: Mailbox,
    siteOf: (stub: number) => ServedSite | undefined,
    ignore: (key: bigint) => void,
    report: TrapProblem,
  ) {
    this.#kernel = kernel;
    this.#mailbox = mailbox;
    this.#siteOf = siteOf;
    this.#ignore = ignore;
    this.#report = report;
  }

  /** How many arrivals have been answered. */
  get answered(): number {
    return this.#answered;
  }

  /** Milliseconds spent on requests. */
  get busy(): number {
    return this.#busy;
  }

  /** Whether a kernel function that was called for an arrival has not returned. */
  get hasCalls(): boolean {
    for (const slot of this.#pending.keys()) if (!this.#mailbox.isHeld(slot)) this.#pending.delete(slot);
    return this.#pending.size > 0;
  }

  /** Answers what waits, once round all slots; gives how many requests that were. */
  serve(): number {
    let count = 0;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const request = this.#mailbox.next(slot);
      if (request === undefined) break;
      const from = performance.now();
      this.#mailbox.answer(request, this.#decide(request, from));
      this.#busy += performance.now() - from;
      slot = request.slot;
      count++;
    }
    return count;
  }

  #decide(request: Request, arrivedAt: number): Verdict {
    const served = this.#siteOf(request.stub);
    const pending = this.#pending.get(request.slot);
    this.#pending.delete(request.slot);
    if (served === undefined) return GO_ON;
    try {
      const [trap, answer] = this.#ask(served, request, pending, arrivedAt);
      const verdict = this.#verdict(request, trap, answer);
      if (verdict.action !== Action.call && verdict.action !== Action.exchange) this.#answered++;
      return verdict;
    } catch (error) {
      this.#answered++;
      this.#report(`the trap on ${served.site.symbol}`, error);
      return GO_ON;
    }
  }

  #ask(
    { site, handler }: ServedSite,
    request: Request,
    pending: PendingCall | undefined,
    arrivedAt: number,
  ): [Trap, DetourAnswer] {
    if (request.calls === 0) {
      const trap = { site, vcpu: request.cpu + 1, registers: request.registers, arrivedAt };
      this.#setCpuBase(request);
      return [trap, handler(trap)];
    }
    if (pending?.calls !== request.calls || pending.task !== request.task)
      throw new TargetError('a stub says that it has called a function, and was not told to');
    return [pending.trap, pending.afterwards(request.result, pending.trap)];
  }

  /** Where the per-CPU variables of the arriving CPU are (`__per_cpu_offset`): what its GS base holds in the kernel. */
  #setCpuBase({ cpu, registers }: Request): void {
    if (cpu >= MAX_CPUS) return;
    const offsets = this.#kernel.symbols.require('__per_cpu_offset');
    registers.set('gs_base', this.#kernel.memory.readU64(gva(offsets + BigInt(8 * cpu))));
  }

  #verdict(request: Request, trap: Trap, answer: DetourAnswer): Verdict {
    switch (answer.kind) {
      case 'continue':
        return GO_ON;
      case 'ignore':
        this.#ignore(request.key);
        return GO_ON;
      case 'return':
        return answer.value === undefined ? RETURN : { action: Action.return, value: answer.value };
      case 'kill':
        return KILL;
      case 'call':
        if (answer.arguments.length > 6)
          throw new RangeError('a kernel function is called with at most six arguments');
        this.#await(request, trap, answer.afterwards);
        return { action: Action.call, function: answer.function, arguments: answer.arguments };
      case 'exchange': {
        const values = [answer.address, answer.expected, answer.value];
        const { afterwards } = answer;
        if (afterwards === undefined) return { action: Action.exchangeAndReturn, arguments: values };
        this.#await(request, trap, (result) => afterwards(result !== 0n, trap));
        return { action: Action.exchange, arguments: values };
      }
    }
  }

  #await({ slot, calls, task }: Request, trap: Trap, afterwards: PendingCall['afterwards']): void {
    if (calls >= MAX_CALLS)
      throw new UnderwatchError('limit', `more than ${MAX_CALLS} calls for one arrival`);
    this.#pending.set(slot, { trap, calls: calls + 1, task, afterwards });
  }
}

const GO_ON: Verdict = { action: Action.goOn };
const RETURN: Verdict = { action: Action.return };
const KILL: Verdict = { action: Action.kill };

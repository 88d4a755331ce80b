import type { Judgement } from '../analysis/judge.ts';
import { UnderwatchError } from '../errors.ts';
import { CONTINUE, KILL, RETURN, type Trap, type TrapAnswer } from '../hooks/trap.ts';
import { currentTask } from '../linux/current-task.ts';
import { findVma } from '../linux/mm/find.ts';
import { VmaCursor } from '../linux/mm/vma-cursor.ts';
import { readTask, type Task } from '../linux/task.ts';
import { UserMemory } from '../linux/user-memory.ts';
import { type GuestVirtualAddress, gva, hex } from '../memory/address.ts';
import { PageWalk } from '../x86/page-walk.ts';
import { PTE_HIGH_NO_EXECUTE } from '../x86/pte.ts';
import { type Decision, decide, detectionKey } from './answer.ts';
import { type CodeAnalysis, describeJudgement } from './code-analysis.ts';
import type { ExecutionEvidence } from './evidence.ts';
import { EvidenceGatherer } from './evidence-gatherer.ts';
import type { GuardState } from './guard-state.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { Retries } from './retries.ts';
import { isSuspicious } from './suspicious.ts';
import { judge, type Verdict } from './verdict.ts';

/**
 * Bits of a page fault's error code (Intel SDM vol. 3A 4.7): the page is present, user mode, instruction fetch.
 * All three: it may be read, and not executed.
 */
const FETCH_DENIED = 0x15;
/** User addresses have bit 63 clear. */
const KERNEL_HALF = 0x8000_0000;

/** An instruction fetch from a page of a protected process. */
interface Fetch {
  readonly trap: Trap;
  readonly task: Task;
  readonly space: ProtectedSpace;
  readonly address: GuestVirtualAddress;
}

/**
 * At `__bad_area_nosemaphore(regs, error_code, address, …)` (arch/x86/mm/fault.c): the guest's kernel is about to
 * send SIGSEGV for a page fault; every lock is dropped. A fetch from an armed page is examined (the reference
 * page's `IntLixVmaHandlePageExecution`) and tried again, reported, or answered by SIGKILL. Every other fault is
 * the process's own.
 */
export class ExecutionTrap {
  readonly #state: GuardState;
  readonly #gatherer: EvidenceGatherer;
  readonly #retries = new Retries();
  readonly #vma = new VmaCursor();
  readonly #walk = new PageWalk();

  constructor(state: GuardState) {
    this.#state = state;
    this.#gatherer = new EvidenceGatherer(state);
  }

  handle(trap: Trap): TrapAnswer {
    const { registers } = trap;
    if ((registers.low('rsi') & FETCH_DENIED) !== FETCH_DENIED) return CONTINUE;
    if ((registers.high('rdx') & KERNEL_HALF) !== 0) return CONTINUE;
    const { kernel, spaces } = this.#state;
    const address = spaces.size === 0 ? undefined : currentTask(kernel, registers);
    if (address === undefined) return CONTINUE;
    const task = readTask(kernel, address);
    const space = spaces.findByAddress(task.mm);
    if (space === undefined) return CONTINUE;
    return this.#examine({ trap, task, space, address: gva(registers.get('rdx')) });
  }

  #examine(fetch: Fetch): TrapAnswer {
    if (fetch.space.killed.has(fetch.task.tgid)) return KILL;
    let evidence: ExecutionEvidence;
    try {
      if (!this.#findArmedPage(fetch)) return this.#leave(fetch);
      evidence = this.#gatherer.gather(fetch.space, fetch.task, fetch.trap, this.#vma, this.#walk);
    } catch (error) {
      if (!(error instanceof UnderwatchError)) throw error;
      return this.#tryAgain(fetch, error);
    }
    this.#retries.settle(fetch.task.address);
    return this.#answer(fetch, evidence);
  }

  /** Stands on the VMA and the leaf entry; throws where they are not, or no longer, as the fault found them. */
  #findArmedPage({ space, trap }: Fetch): boolean {
    const { kernel, memory } = this.#state;
    const high = trap.registers.high('rdx');
    const low = trap.registers.low('rdx');
    if (!findVma(kernel, space.mm, high, low, this.#vma)) throw changed('the VMA');
    if (!isSuspicious(memory, kernel.layout, this.#vma)) return false;
    new UserMemory(kernel, space.mm).pageTables.walk(high, low, this.#walk);
    if (this.#walk.outcome !== 'mapped') throw changed('the page');
    if ((this.#walk.entryHigh & PTE_HIGH_NO_EXECUTE) === 0) throw changed("the page's protection");
    return true;
  }

  #answer(fetch: Fetch, evidence: ExecutionEvidence): TrapAnswer {
    const { counters } = this.#state;
    const { space, task } = fetch;
    counters.examined++;
    space.examined++;
    const verdict = judge(evidence, space.rule, (...input) => this.#analyse(...input));
    const decision = decide(verdict, space.rule.action, task.tgid);
    if (verdict.outcome !== 'clean') this.#tryReport(fetch, evidence, verdict, decision);
    counters[decision]++;
    if (decision === 'killed') {
      space.killed.add(task.tgid);
      return KILL;
    }
    if (decision === 'denied') return CONTINUE;
    this.#state.arming.allowFetches(this.#walk.entryAddress, this.#walk.entryHigh);
    return RETURN;
  }

  /** What cannot be analysed is judged by the checks alone. */
  #analyse(...[evidence, context]: Parameters<CodeAnalysis>): Judgement | undefined {
    try {
      return this.#state.analyse(evidence, context);
    } catch (error) {
      this.#state.problem(`analysing the code at ${hex(evidence.address)}`, error);
      return undefined;
    }
  }

  /** What cannot be reported does not change the answer. */
  #tryReport(fetch: Fetch, evidence: ExecutionEvidence, verdict: Verdict, action: Decision): void {
    try {
      this.#report(fetch, evidence, verdict, action);
    } catch (error) {
      this.#state.problem('describing a detection', error);
    }
  }

  #report(fetch: Fetch, evidence: ExecutionEvidence, verdict: Verdict, action: Decision): void {
    const { space, task, trap } = fetch;
    if (!space.isNews(detectionKey(evidence, verdict, action))) {
      this.#state.counters.repeated++;
      return;
    }
    this.#state.counters.alerts++;
    this.#state.emit({
      type: 'alert',
      process: this.#state.info.describe(task, space.mm),
      ...this.#gatherer.describe(evidence, trap),
      analysis: verdict.code === undefined ? null : describeJudgement(verdict.code),
      findings: [...verdict.findings],
      policy: space.rule.action,
      action,
      durationMs: performance.now() - trap.arrivedAt,
    });
  }

  /** Not ours: a page that its own flags forbid to execute. The kernel goes on to send SIGSEGV. */
  #leave(fetch: Fetch): TrapAnswer {
    this.#retries.settle(fetch.task.address);
    return CONTINUE;
  }

  /** The guest changes what the fault was about; the instruction faults again if there is still a reason to. */
  #tryAgain(fetch: Fetch, error: UnderwatchError): TrapAnswer {
    if (this.#retries.allow(fetch.task.address, fetch.address, fetch.trap.arrivedAt)) return RETURN;
    this.#state.problem(`examining a fetch at 0x${fetch.address.toString(16)}`, error);
    return this.#leave(fetch);
  }
}

function changed(what: string): UnderwatchError {
  return new UnderwatchError('malformed', `${what} is not as the page fault found it`);
}

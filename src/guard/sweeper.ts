import { setTimeout as delay } from 'node:timers/promises';
import type { Restored } from '../alerts/event.ts';
import { TargetError } from '../errors.ts';
import { KernelCalls } from '../hooks/kernel-calls.ts';
import type { Traps } from '../hooks/trap.ts';
import type { Debugger } from '../machine/machine.ts';
import type { GuardState } from './guard-state.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { Quiescence } from './quiescence.ts';
import { emptySweep, Sweep, type SweepResult } from './sweep.ts';

/** How long the guest runs between two passes, in milliseconds. */
const PAUSE = 3;
/** How long passes go on at most while a thread does not leave the kernel, in milliseconds. */
const SETTLE_LIMIT = 3000;
const RESTORE_LIMIT = 10_000;
/** How long a process of the guest is waited for whose system call can carry a flush, in milliseconds. */
const FLUSH_LIMIT = 1000;

/**
 * Arms address spaces that exist already, and disarms all of them at the end. That takes several passes: what the
 * guest's kernel was in the middle of, when the first one stopped it, has to come to an end before the last.
 */
export class Sweeper {
  readonly #state: GuardState;
  readonly #sweep: Sweep;
  readonly #traps: Traps;
  readonly #emulated: boolean;
  readonly #calls: KernelCalls;
  readonly #quiescence: Quiescence;
  #flushNeeded = false;

  constructor(state: GuardState, traps: Traps, hypervisor: string) {
    this.#state = state;
    this.#sweep = new Sweep(state.kernel, state.arming);
    this.#traps = traps;
    this.#emulated = hypervisor.includes('(TCG)');
    this.#calls = new KernelCalls(traps, state.kernel);
    this.#quiescence = new Quiescence(state);
  }

  /** The first pass that arms: what these address spaces hold already. */
  async arm(spaces: readonly ProtectedSpace[], debug: Debugger): Promise<void> {
    this.#quiescence.expect(new Set(spaces));
    await this.#armAll(spaces, debug);
  }

  /** Arms once more when no thread can be building an entry by what it read before the first pass. */
  async settle(spaces: readonly ProtectedSpace[]): Promise<void> {
    const deadline = performance.now() + SETTLE_LIMIT;
    for (;;) {
      await this.#flushByKernel();
      const whole = await this.#traps.whileStopped(async (debug) => {
        const quiet = await this.#quiescence.reached(debug);
        const late = performance.now() > deadline;
        return (quiet || late) && (await this.#armAll(spaces, debug)).gaps === 0 && quiet;
      });
      if (whole) break;
      if (performance.now() > deadline) {
        const reason =
          'a thread did not leave the kernel in time, or memory could not be read: some pages may not be armed';
        this.#state.problem('adopting processes', new TargetError(reason));
        break;
      }
      await delay(PAUSE);
    }
    await this.#flushByKernel();
  }

  /**
   * Disarms everything. The hooks stay until every thread has left what it was doing when something was still armed,
   * so that no fetch that faulted before is left without an answer; then they are taken away at one stop.
   */
  async restore(): Promise<Restored> {
    const restored = { vmas: 0, pages: 0, complete: true };
    const deadline = performance.now() + RESTORE_LIMIT;
    for (;;) {
      const done = await this.#traps.closeWhen(async (debug) => {
        const result = this.#disarmAll();
        restored.vmas += result.vmas;
        restored.pages += result.pages;
        await this.#flush(result, debug);
        this.#quiescence.expect(result.changed);
        restored.complete = (await this.#quiescence.reached(debug)) && result.gaps === 0;
        return restored.complete || performance.now() > deadline;
      });
      if (done) return restored;
      await this.#flushByKernel();
      await delay(PAUSE);
    }
  }

  /** Disarms while the guest runs, because it can no longer be stopped: as good as that can be. */
  restoreRunning(): Restored {
    const { vmas, pages } = this.#disarmAll();
    return { vmas, pages, complete: false };
  }

  async #armAll(spaces: readonly ProtectedSpace[], debug: Debugger): Promise<SweepResult> {
    const result = emptySweep();
    for (const space of spaces)
      if (this.#state.spaces.findByAddress(space.mm) === space) this.#sweep.arm(space, result);
    this.#state.counters.armed += result.vmas;
    await this.#flush(result, debug);
    return result;
  }

  #disarmAll(): SweepResult {
    const result = emptySweep();
    for (const space of this.#state.spaces) this.#sweep.disarm(space, result);
    return result;
  }

  /**
   * Under TCG, QEMU forgets a vCPU's translations when its CR3 is written, which the debugger does at once. Under
   * KVM that does nothing, and the guest's own kernel has to do it once it runs again.
   */
  async #flush(result: SweepResult, debug: Debugger): Promise<void> {
    if (result.pages === 0) return;
    if (this.#emulated) await debug.flushTranslations();
    else this.#flushNeeded = true;
  }

  async #flushByKernel(): Promise<void> {
    if (!this.#flushNeeded) return;
    this.#flushNeeded = false;
    const result = await this.#calls.call('flush_tlb_all', [], FLUSH_LIMIT);
    if (result === undefined)
      this.#state.problem(
        'flushing TLBs',
        new TargetError('no process of the guest made a system call in time'),
      );
  }
}

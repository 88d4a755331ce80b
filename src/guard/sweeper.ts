import { setTimeout as delay } from 'node:timers/promises';
import type { Restored } from '../alerts/event.ts';
import { TargetError } from '../errors.ts';
import { KernelCalls } from '../hooks/kernel-calls.ts';
import type { Traps } from '../hooks/trap.ts';
import { currentTask } from '../linux/current-task.ts';
import { readTask } from '../linux/task.ts';
import type { Debugger } from '../machine/machine.ts';
import type { GuardState } from './guard-state.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { emptySweep, Sweep, type SweepResult } from './sweep.ts';

/** How long the guest runs between two passes, in milliseconds. */
const PAUSE = 5;
/** How long passes go on at most while the guest is never quiet, in milliseconds. */
const SETTLE_LIMIT = 2000;
const RESTORE_LIMIT = 5000;
/** How long a process of the guest is waited for whose system call can carry a flush, in milliseconds. */
const FLUSH_LIMIT = 1000;

/**
 * Arms address spaces that exist already, and disarms all of them at the end: in passes, until one finds the guest
 * quiet. A vCPU that is in the kernel may be building an entry by a value that it read before; a page fault for a
 * page that was armed may be on its way to its hook. The hooks stay until neither can be.
 */
export class Sweeper {
  readonly #state: GuardState;
  readonly #sweep: Sweep;
  readonly #traps: Traps;
  readonly #emulated: boolean;
  readonly #calls: KernelCalls;
  #flushNeeded = false;

  constructor(state: GuardState, traps: Traps, hypervisor: string) {
    this.#state = state;
    this.#sweep = new Sweep(state.kernel, state.arming);
    this.#traps = traps;
    this.#emulated = hypervisor.includes('(TCG)');
    this.#calls = new KernelCalls(traps, state.kernel);
  }

  /** One pass that arms. Says whether the guest was quiet. */
  async arm(spaces: readonly ProtectedSpace[], debug: Debugger): Promise<boolean> {
    const result = emptySweep();
    for (const space of spaces) if (this.#isProtected(space)) this.#sweep.arm(space, result);
    this.#state.counters.armed += result.vmas;
    await this.#flush(result, debug);
    return !result.busy && result.gaps === 0 && (await this.#isCalm(debug));
  }

  /** Arms again until a pass finds the guest quiet. */
  async settle(spaces: readonly ProtectedSpace[]): Promise<void> {
    const deadline = performance.now() + SETTLE_LIMIT;
    for (;;) {
      await this.#flushByKernel();
      if (await this.#traps.whileStopped((debug) => this.arm(spaces, debug))) break;
      if (performance.now() > deadline) {
        this.#state.problem('adopting processes', new TargetError('the guest never stood still'));
        break;
      }
      await delay(PAUSE);
    }
    await this.#flushByKernel();
  }

  /** Disarms everything; in the pass that finds nothing more to do the hooks are taken away. */
  async restore(): Promise<Restored> {
    const restored = { vmas: 0, pages: 0, complete: true };
    const deadline = performance.now() + RESTORE_LIMIT;
    for (;;) {
      const done = await this.#traps.closeWhen(async (debug) => {
        const result = this.#disarmAll();
        restored.vmas += result.vmas;
        restored.pages += result.pages;
        await this.#flush(result, debug);
        const changed = result.vmas + result.pages > 0;
        restored.complete = !changed && !result.busy && result.gaps === 0 && (await this.#isCalm(debug));
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

  #disarmAll(): SweepResult {
    const result = emptySweep();
    for (const space of this.#state.spaces) this.#sweep.disarm(space, result);
    return result;
  }

  #isProtected(space: ProtectedSpace): boolean {
    return this.#state.spaces.findByAddress(space.mm) === space;
  }

  /** Whether no vCPU is in the kernel on behalf of a protected address space. */
  async #isCalm(debug: Debugger): Promise<boolean> {
    const { kernel, spaces } = this.#state;
    for (const vcpu of debug.vcpus) {
      const registers = await debug.readRegisters(vcpu);
      if ((registers.low('cs') & 3) === 3) continue;
      const current = currentTask(kernel, registers);
      if (current !== undefined && spaces.findByAddress(readTask(kernel, current).mm) !== undefined)
        return false;
    }
    return true;
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

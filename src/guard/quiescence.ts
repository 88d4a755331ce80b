import { UnderwatchError } from '../errors.ts';
import { currentTask } from '../linux/current-task.ts';
import { KernelObject } from '../linux/kernel-object.ts';
import { listProcesses, listThreads } from '../linux/task-list.ts';
import type { Debugger } from '../machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { GuardState } from './guard-state.ts';
import type { ProtectedSpace } from './protected-spaces.ts';

/** Interruptible sleep, stopped, traced (include/linux/sched.h). */
const HARMLESS_STATES = 0x1 | 0x4 | 0x8;
/** The privilege level in a code segment selector: 3 is user mode. */
const USER_MODE = 3;

/**
 * Tells when what the guest's kernel was doing at some moment has come to an end.
 *
 * A thread that is in the kernel may go on with a page protection that it read before the guard changed it, or be on
 * the way to a hook because of it. That is over once the thread has been seen in user mode, or in a sleep in which
 * nothing of that kind is held: whoever holds `mmap_lock`, or waits for it, does not sleep interruptibly.
 */
export class Quiescence {
  readonly #state: GuardState;
  /** Threads that have not been seen so: address of the `task_struct`, and of the `mm_struct` that it had. */
  readonly #pending = new Map<bigint, GuestVirtualAddress>();

  constructor(state: GuardState) {
    this.#state = state;
  }

  /** From this moment on, every thread that uses one of these address spaces is waited for. */
  expect(spaces: ReadonlySet<ProtectedSpace>): void {
    if (spaces.size === 0) return;
    const { kernel } = this.#state;
    for (const process of listProcesses(kernel).tasks) {
      if (process.isKernelThread) continue;
      for (const { address, mm } of listThreads(kernel, process).tasks) {
        const space = this.#state.spaces.findByAddress(mm);
        if (space !== undefined && spaces.has(space)) this.#pending.set(address, mm);
      }
    }
  }

  /** Looks at the guest, which stands still; whether no thread is waited for any more. */
  async reached(debug: Debugger): Promise<boolean> {
    if (this.#pending.size === 0) return true;
    const inKernel = new Set<bigint>();
    for (const vcpu of debug.vcpus) {
      const registers = await debug.readRegisters(vcpu);
      const current = currentTask(this.#state.kernel, registers);
      if (current === undefined) continue;
      if ((registers.low('cs') & USER_MODE) === USER_MODE) this.#pending.delete(current);
      else inKernel.add(current);
    }
    for (const [task, mm] of this.#pending) {
      if (!inKernel.has(task) && this.#isHarmless(gva(task), mm)) this.#pending.delete(task);
    }
    return this.#pending.size === 0;
  }

  /** Whether a thread that is on no vCPU sleeps harmlessly, or uses the address space no more. */
  #isHarmless(address: GuestVirtualAddress, mm: GuestVirtualAddress): boolean {
    const { task_struct } = this.#state.kernel.layout;
    try {
      const task = new KernelObject(this.#state.kernel.memory, address);
      return task.pointer(task_struct.mm) !== mm || (task.u32(task_struct.state) & HARMLESS_STATES) !== 0;
    } catch (error) {
      if (error instanceof UnderwatchError) return true;
      throw error;
    }
  }
}

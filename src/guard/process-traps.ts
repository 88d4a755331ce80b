import { CONTINUE, type Trap, type TrapAnswer } from '../hooks/trap.ts';
import { currentTask } from '../linux/current-task.ts';
import { readTask, type Task } from '../linux/task.ts';
import { gva } from '../memory/address.ts';
import { protect } from './adoption.ts';
import type { GuardState } from './guard-state.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { emptySweep, Sweep } from './sweep.ts';

const NULL = gva(0n);

/** Follows processes from their beginning to their end: which address spaces are protected, and by which rule. */
export class ProcessTraps {
  readonly #state: GuardState;
  readonly #sweep: Sweep;

  constructor(state: GuardState) {
    this.#state = state;
    this.#sweep = new Sweep(state.kernel, state.arming);
  }

  /**
   * At `security_bprm_committed_creds(bprm)`: exec has passed the point of no return, and the task has its new
   * address space and name (fs/exec.c, begin_new_exec); its stack is not finished, so that it will be armed.
   */
  executed({ registers }: Trap): TrapAnswer {
    const address = currentTask(this.#state.kernel, registers);
    if (address === undefined) return CONTINUE;
    const task = readTask(this.#state.kernel, address);
    if (task.mm === NULL) return CONTINUE;
    const rule = this.#state.policy.ruleFor(this.#state.info.identity(task, task.mm));
    if (rule !== undefined) protect(this.#state, task, rule, 'exec').stacks.loaded(address);
    return CONTINUE;
  }

  /**
   * At `wake_up_new_task(task)`: a new thread or process is complete and has not run (kernel/fork.c). A child has a
   * copy of its parent's memory, armed VMAs and entries included, so it is protected until it loads another program.
   */
  created({ registers }: Trap): TrapAnswer {
    const { kernel, spaces, userRegisters } = this.#state;
    const parentAddress = currentTask(kernel, registers);
    if (spaces.size === 0 || parentAddress === undefined) return CONTINUE;
    const parent = readTask(kernel, parentAddress);
    const origin = spaces.findByAddress(parent.mm);
    if (origin === undefined) return CONTINUE;
    const task = readTask(kernel, gva(registers.get('rdi')));
    if (task.mm === NULL || task.isKernelThread) return CONTINUE;
    const space = spaces.findByAddress(task.mm) ?? this.#inherit(task, origin);
    const stackPointer = userRegisters.stackPointerOf(task.address);
    if (stackPointer !== undefined) space.stacks.created(task.address, stackPointer);
    return CONTINUE;
  }

  /** At `exit_mmap(mm)`: the last user of an address space has gone (mm/mmap.c). */
  exited({ registers }: Trap): TrapAnswer {
    const space = this.#state.spaces.find(registers.high('rdi'), registers.low('rdi'));
    if (space === undefined) return CONTINUE;
    this.#state.spaces.remove(space);
    const { tgid, comm, examined } = space;
    this.#state.emit({ type: 'process.released', tgid, comm, examined });
    return CONTINUE;
  }

  /**
   * `dup_mmap` copies VMAs as they are, so the child's are armed where the parent's were. While processes are being
   * adopted those may have been copied before; nothing of the child is in a TLB yet.
   */
  #inherit(task: Task, origin: ProtectedSpace): ProtectedSpace {
    const space = protect(this.#state, task, origin.rule, 'fork');
    if (this.#state.adopting && !this.#state.stopping) this.#sweep.arm(space, emptySweep());
    else for (const vma of origin.vmas) space.vmas.trackCopy(vma);
    return space;
  }
}

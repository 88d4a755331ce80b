import { TargetError } from '../errors.ts';
import type { Task } from '../linux/task.ts';
import { listProcesses, listThreads } from '../linux/task-list.ts';
import { gva } from '../memory/address.ts';
import type { GuardState } from './guard-state.ts';
import type { ProcessRule } from './policy.ts';
import { ProtectedSpace } from './protected-spaces.ts';

const NULL = gva(0n);

/** From when on a process is protected: it was running, it loaded a program, or its parent is protected. */
export type Beginning = 'running' | 'exec' | 'fork';

/** Protects the address space of a task, and says so. */
export function protect(state: GuardState, task: Task, rule: ProcessRule, how: Beginning): ProtectedSpace {
  const space = new ProtectedSpace(state.kernel, task.mm, rule, task);
  state.spaces.add(space);
  state.counters.protected++;
  const process = state.info.describe(task, task.mm);
  state.emit({ type: 'process.protected', process, how, action: rule.action });
  return space;
}

/**
 * Takes in every process that runs already and that a rule is for (the reference page's `IntLixMmPopulateVmas`,
 * together with arming). Needs the machine standing still.
 */
export function adoptProcesses(state: GuardState): ProtectedSpace[] {
  const { kernel, policy, info, spaces } = state;
  const adopted: ProtectedSpace[] = [];
  const { tasks, cuts } = listProcesses(kernel);
  if (cuts.length > 0) state.problem('listing processes', new TargetError('the list was cut short'));
  for (const leader of tasks) {
    const threads = threadsOf(state, leader);
    const [first] = threads;
    if (first === undefined || spaces.findByAddress(first.mm) !== undefined) continue;
    const rule = policy.ruleFor(info.identity(leader, first.mm));
    if (rule === undefined) continue;
    const space = protect(state, { ...leader, mm: first.mm }, rule, 'running');
    for (const thread of threads) adoptThread(state, space, thread);
    adopted.push(space);
  }
  return adopted;
}

/** The threads of a process that still have memory; its leader may have exited before the others. */
function threadsOf({ kernel }: GuardState, leader: Task): Task[] {
  if (leader.isKernelThread) return [];
  return listThreads(kernel, leader).tasks.filter((thread) => thread.mm !== NULL);
}

function adoptThread(state: GuardState, space: ProtectedSpace, thread: Task): void {
  const stackPointer = state.userRegisters.stackPointerOf(thread.address);
  space.stacks.adopted(thread.address, stackPointer, thread.pid === thread.tgid);
}

import { TargetError, UnderwatchError } from '../errors.ts';
import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { Cut } from './cut.ts';
import type { Kernel } from './kernel.ts';
import { walkList } from './list-head.ts';
import { readTask, type Task } from './task.ts';

/** `PID_MAX_LIMIT` (include/linux/threads.h): no 64-bit kernel has more threads. */
const MAX_TASKS = 4 * 1024 * 1024;
/** Walks of a list that the guest changes under them. */
const TRIES = 4;

/** Tasks in the order of the kernel's list, and what is missing. */
export interface TaskList {
  readonly tasks: readonly Task[];
  /** Where the walk was cut short, or a task that could not be read. */
  readonly cuts: readonly Cut[];
}

type Reader = Pick<Kernel, 'memory' | 'layout' | 'symbols'>;

/**
 * Every process, by its thread-group leader, kernel threads included: `init_task.tasks`. The idle task, which
 * has PID 0, is not on the list. A walk that is cut short is tried again, as the guest changes the list
 * while it is read; the longest try counts.
 */
export function listProcesses(kernel: Reader): TaskList {
  const head = kernel.symbols.find('init_task');
  if (head === undefined)
    throw new TargetError('the kernel has no symbol init_task: its processes cannot be listed');
  const offset = kernel.layout.task_struct.tasks;
  return longestOf(() => readTasks(kernel, gva(head + BigInt(offset)), offset));
}

/** Every thread of a process, the leader included: `signal->thread_head`. */
export function listThreads(kernel: Reader, process: Pick<Task, 'signal'>): TaskList {
  const { signal_struct, task_struct } = kernel.layout;
  const head = gva(process.signal + BigInt(signal_struct.thread_head));
  return longestOf(() => readTasks(kernel, head, task_struct.thread_node));
}

/** The process with that number in the initial PID namespace; undefined when there is none. */
export function findProcess(kernel: Reader, pid: number): Task | undefined {
  return listProcesses(kernel).tasks.find((task) => task.tgid === pid);
}

function longestOf(walk: () => TaskList): TaskList {
  let best = walk();
  for (let attempt = 1; attempt < TRIES && best.cuts.length > 0; attempt++) {
    const next = walk();
    if (next.cuts.length === 0 || next.tasks.length > best.tasks.length) best = next;
  }
  return best;
}

function readTasks(kernel: Reader, head: GuestVirtualAddress, offset: number): TaskList {
  const { addresses, cut } = walkList(kernel.memory, head, {
    structure: 'task_struct',
    offset,
    limit: MAX_TASKS,
  });
  const tasks: Task[] = [];
  const cuts: Cut[] = cut === undefined ? [] : [cut];
  for (const address of addresses) {
    try {
      tasks.push(readTask(kernel, address));
    } catch (error) {
      if (!(error instanceof UnderwatchError)) throw error;
      cuts.push({ reason: 'unreadable', structure: 'task_struct', address });
    }
  }
  return { tasks, cuts };
}

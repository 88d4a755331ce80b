import { UsageError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import type { Task } from '../linux/task.ts';
import { findProcess } from '../linux/task-list.ts';
import { gva } from '../memory/address.ts';

/** The process that the user named; throws a UsageError when there is none. */
export function requireProcess(kernel: Kernel, pid: number): Task {
  const task = findProcess(kernel, pid);
  if (task === undefined) throw new UsageError(`the guest has no process ${pid}`);
  return task;
}

/** The process that the user named, which must have memory of its own; throws a UsageError when it has none. */
export function requireUserProcess(kernel: Kernel, pid: number): Task {
  const task = requireProcess(kernel, pid);
  if (task.isKernelThread)
    throw new UsageError(`process ${pid} is a thread of the kernel: it has no user memory`);
  if (task.mm === gva(0n)) throw new UsageError(`process ${pid} has exited: it has no memory any more`);
  return task;
}

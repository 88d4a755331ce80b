import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { Kernel } from './kernel.ts';
import { KernelObject } from './kernel-object.ts';

/** `MAX_PID_NS_LEVEL` (kernel/pid_namespace.c): how deep PID namespaces nest. */
const MAX_PID_NS_LEVEL = 32;

/**
 * A task's number in its own PID namespace, the innermost one (`struct pid`): what the task itself sees.
 * Undefined when it has exited or its `struct pid` cannot be.
 */
export function pidInOwnNamespace(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  task: GuestVirtualAddress,
): number | undefined {
  const { task_struct, pid: layout, upid } = kernel.layout;
  const address = new KernelObject(kernel.memory, task).pointer(task_struct.thread_pid);
  if (address === gva(0n)) return undefined;
  const pid = new KernelObject(kernel.memory, address);
  const level = pid.u32(layout.level);
  if (level > MAX_PID_NS_LEVEL) return undefined;
  return pid.u32(layout.numbers + level * upid.size + upid.nr) | 0;
}

/** The address of a task's `mnt_namespace`: two tasks see the same mounts when these are equal; null after exit. */
export function mountNamespace(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  task: GuestVirtualAddress,
): GuestVirtualAddress {
  const { task_struct, nsproxy } = kernel.layout;
  const address = new KernelObject(kernel.memory, task).pointer(task_struct.nsproxy);
  if (address === gva(0n)) return address;
  return new KernelObject(kernel.memory, address).pointer(nsproxy.mnt_ns);
}

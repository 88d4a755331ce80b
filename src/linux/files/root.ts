import { TargetError } from '../../errors.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import { findProcess } from '../task-list.ts';
import type { KernelPath } from './path.ts';

type Reader = Pick<Kernel, 'memory' | 'layout' | 'symbols'>;

/**
 * The root directory from which paths are told: that of process 1, as a program in the guest outside every
 * container sees them; before there is a process 1, the idle task's.
 */
export function rootDirectory(kernel: Reader): KernelPath {
  const init = findProcess(kernel, 1)?.address ?? kernel.symbols.find('init_task');
  if (init === undefined) throw new TargetError('the guest has no process 1 and no symbol init_task');
  return taskRoot(kernel, init) ?? { mnt: gva(0n), dentry: gva(0n) };
}

/** The root directory of a task (`chroot(2)`); undefined when it has exited. */
export function taskRoot(kernel: Reader, task: GuestVirtualAddress): KernelPath | undefined {
  const { task_struct, fs_struct, path } = kernel.layout;
  const address = new KernelObject(kernel.memory, task).pointer(task_struct.fs);
  if (address === gva(0n)) return undefined;
  const fs = new KernelObject(kernel.memory, address);
  return {
    mnt: fs.pointer(fs_struct.root + path.mnt),
    dentry: fs.pointer(fs_struct.root + path.dentry),
  };
}

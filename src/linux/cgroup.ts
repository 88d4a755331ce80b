import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { Kernel } from './kernel.ts';
import { KernelObject } from './kernel-object.ts';

/** Deeper than anybody nests control groups. */
const MAX_DEPTH = 256;
/** `NAME_MAX`. */
const MAX_NAME = 255;

/**
 * The path of a task's control group in the unified hierarchy, as `/proc/PID/cgroup` has it: `/system.slice`.
 * Undefined when the kernel has no control groups or the path cannot be read to its root.
 */
export function cgroupPath(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  task: GuestVirtualAddress,
): string | undefined {
  const { memory, layout } = kernel;
  const { css_set, cgroup, kernfs_node } = layout;
  const { cgroups } = layout.task_struct;
  if (cgroups === undefined || css_set === undefined || cgroup === undefined || kernfs_node === undefined)
    return undefined;
  const set = new KernelObject(memory, task).pointer(cgroups);
  const group = new KernelObject(memory, set).pointer(css_set.dfl_cgrp);
  let node = new KernelObject(memory, new KernelObject(memory, group).pointer(cgroup.kn));
  const names: string[] = [];
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const parent = node.pointer(kernfs_node.parent);
    if (parent === gva(0n)) return `/${names.reverse().join('/')}`;
    names.push(memory.readCString(node.pointer(kernfs_node.name), MAX_NAME));
    node = new KernelObject(memory, parent);
  }
  return undefined;
}

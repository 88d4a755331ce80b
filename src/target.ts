import { existsSync } from 'node:fs';
import { UsageError } from './errors.ts';
import { findKernel } from './linux/find-kernel.ts';
import type { Kernel } from './linux/kernel.ts';
import { openImage } from './machine/image/open.ts';
import type { Machine } from './machine/machine.ts';
import { attachQemu, QEMU_SCHEME } from './machine/qemu/attach.ts';

/** A machine together with the Linux kernel that was found in it. Disposing detaches from the machine. */
export interface Target extends AsyncDisposable {
  readonly machine: Machine;
  readonly kernel: Kernel;
}

/** What may be said about how a target is opened. */
export interface OpenOptions {
  /**
   * Where the kernel is looked for: from the vCPUs' registers, from memory alone, or `auto` (default):
   * registers where the machine has them, else memory.
   */
  readonly locate?: 'auto' | 'registers' | 'memory';
}

/**
 * Opens the machine that a target names: `qemu:PATH` with PATH a QMP socket, or the path of a memory image.
 * Throws a UsageError for a name that cannot be one, and a TargetError for what is not a machine or an image.
 */
export async function openMachine(target: string): Promise<Machine> {
  if (target.startsWith(QEMU_SCHEME)) return attachQemu(target);
  if (!existsSync(target)) throw new UsageError(`there is no image ${target}`);
  return openImage(target);
}

/**
 * Opens a target and finds the kernel in it, with no other input. The running machine is not paused.
 *
 * @example
 * await using target = await openTarget('qemu:/run/vm/qmp.sock');
 * console.log(target.kernel.release);
 */
export async function openTarget(name: string, options: OpenOptions = {}): Promise<Target> {
  const machine = await openMachine(name);
  try {
    const vcpus = options.locate === 'memory' ? undefined : await machine.live?.readVcpus();
    const kernel = findKernel(machine.memory, vcpus === undefined ? {} : { vcpus });
    return { machine, kernel, [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose]() };
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

import { UsageError } from './errors.ts';
import { findKernel } from './linux/find-kernel.ts';
import type { Kernel } from './linux/kernel.ts';
import type { Image } from './machine/image/image.ts';
import type { RamLayout } from './machine/image/ram-layout.ts';
import type { Machine } from './machine/machine.ts';
import { QEMU_SCHEME } from './machine/qemu/target-name.ts';

/** A machine together with the Linux kernel that was found in it. Disposing detaches from the machine. */
export interface Target extends AsyncDisposable {
  readonly machine: Machine;
  readonly kernel: Kernel;
  /** The machine again where it is a memory image, with what its file says besides. */
  readonly image?: Image;
}

/** What may be said about how a target is opened. */
export interface OpenOptions {
  /**
   * Where the kernel is looked for: from the vCPUs' registers, from memory alone, or `auto` (default):
   * registers where the machine has them, else memory.
   */
  readonly locate?: 'auto' | 'registers' | 'memory';
  /**
   * For an image without headers: the QEMU machine whose RAM it is, which says how RAM was split around the hole
   * below 4 GiB. Told by content where it is not given.
   */
  readonly ramLayout?: RamLayout;
}

/**
 * Opens the machine that a target names: `qemu:PATH` with PATH a QMP socket, or the path of a memory image.
 * Throws a UsageError for a name that cannot be one, and a TargetError for what is not a machine or an image.
 */
export async function openMachine(target: string, options: OpenOptions = {}): Promise<Machine> {
  if (target.startsWith(QEMU_SCHEME)) return attach(target);
  const { openImageFile } = await import('./open-image-target.ts');
  return openImageFile(target, options.ramLayout);
}

/**
 * Opens a target and finds the kernel in it, with no other input. The running machine is not paused.
 *
 * @example
 * await using target = await openTarget('qemu:/run/vm/qmp.sock');
 * console.log(target.kernel.release);
 */
export async function openTarget(name: string, options: OpenOptions = {}): Promise<Target> {
  if (name.startsWith(QEMU_SCHEME)) return openLiveTarget(name, options);
  const { openImageTarget } = await import('./open-image-target.ts');
  const { image, kernel } = await openImageTarget(name, options);
  return { machine: image, image, kernel, [Symbol.asyncDispose]: () => image[Symbol.asyncDispose]() };
}

async function openLiveTarget(name: string, options: OpenOptions): Promise<Target> {
  if (options.ramLayout !== undefined)
    throw new UsageError('a running machine says itself how its RAM is laid out');
  const machine = await attach(name);
  try {
    const vcpus = options.locate === 'memory' ? undefined : await machine.live?.readVcpus();
    const kernel = findKernel(machine.memory, vcpus === undefined ? {} : { vcpus });
    return { machine, kernel, [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose]() };
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

/** Loaded when it is wanted: images are read without anything of QEMU's protocols. */
async function attach(name: string): Promise<Machine> {
  const { attachQemu } = await import('./machine/qemu/attach.ts');
  return attachQemu(name);
}

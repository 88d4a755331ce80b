import { existsSync } from 'node:fs';
import { UsageError } from './errors.ts';
import { type FindOptions, findKernel } from './linux/find-kernel.ts';
import type { Kernel } from './linux/kernel.ts';
import type { Image } from './machine/image/image.ts';
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
}

/**
 * Opens the machine that a target names: `qemu:PATH` with PATH a QMP socket, or the path of a memory image.
 * Throws a UsageError for a name that cannot be one, and a TargetError for what is not a machine or an image.
 */
export async function openMachine(target: string): Promise<Machine> {
  return target.startsWith(QEMU_SCHEME) ? attach(target) : open(target);
}

/**
 * Opens a target and finds the kernel in it, with no other input. The running machine is not paused.
 *
 * @example
 * await using target = await openTarget('qemu:/run/vm/qmp.sock');
 * console.log(target.kernel.release);
 */
export async function openTarget(name: string, options: OpenOptions = {}): Promise<Target> {
  const image = name.startsWith(QEMU_SCHEME) ? undefined : await open(name);
  const machine = image ?? (await attach(name));
  try {
    const known = image === undefined ? await knownOfMachine(machine, options) : knownOfImage(image, options);
    const kernel = findKernel(machine.memory, known);
    return {
      machine,
      kernel,
      ...(image === undefined ? {} : { image }),
      [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
    };
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

async function open(path: string): Promise<Image> {
  if (!existsSync(path)) throw new UsageError(`there is no image ${path}`);
  const { openImage } = await import('./machine/image/open.ts');
  return openImage(path);
}

async function knownOfMachine(machine: Machine, { locate }: OpenOptions): Promise<FindOptions> {
  const vcpus = locate === 'memory' ? undefined : await machine.live?.readVcpus();
  return vcpus === undefined ? {} : { vcpus };
}

/** What an image says of its kernel may be wrong, or of a moment before: memory decides where it leads nowhere. */
function knownOfImage({ vcpus, vmcoreinfo }: Image, { locate = 'auto' }: OpenOptions): FindOptions {
  if (locate === 'memory') return {};
  if (locate === 'registers') return { vcpus };
  return {
    ...(vcpus.length > 0 ? { vcpus } : {}),
    ...(vmcoreinfo === undefined ? {} : { vmcoreinfo }),
    orByMemory: true,
  };
}

import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { Cut } from '../cut.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import { decodeText } from './text.ts';

/** A place in the tree of mounts: a `vfsmount` and a `dentry` in it (`struct path`). */
export interface KernelPath {
  readonly mnt: GuestVirtualAddress;
  readonly dentry: GuestVirtualAddress;
}

/** A path as text, and where it was cut short if it was: it then lacks its beginning. */
export interface PathText {
  readonly text: string;
  readonly cut: Cut | undefined;
}

/** Directories and mounts on the way to a root. `PATH_MAX` bounds what a call takes, not how deep they nest. */
const MAX_STEPS = 32 * 1024;
/** `NAME_MAX` of every file system. */
const MAX_NAME = 255;

type Reader = Pick<Kernel, 'memory' | 'layout'>;

/**
 * The path of a dentry from a root, across mounts, as `d_path()` writes it (fs/d_path.c): a name for each
 * directory, up to the reader's root or, where that is not on the way (another mount namespace, a lazily
 * unmounted tree), up to the top of the mounts.
 */
export function pathText(kernel: Reader, path: KernelPath, root: KernelPath): PathText {
  const names: Uint8Array[] = [];
  const { reason, at } = collectNames(kernel, path, root, names);
  if (reason === 'escaped') return { text: '/', cut: undefined };
  const text =
    names.length === 0
      ? '/'
      : names
          .reverse()
          .map((name) => `/${decodeText(name)}`)
          .join('');
  return { text, cut: reason === 'limit' ? { reason, structure: 'dentry', address: at } : undefined };
}

/** Whether a dentry was unlinked: not in the hash of names any more, and not the root of a file system. */
export function isUnlinked(kernel: Reader, dentry: GuestVirtualAddress): boolean {
  const { dentry: layout } = kernel.layout;
  const object = new KernelObject(kernel.memory, dentry);
  return object.pointer(layout.hash_pprev) === gva(0n) && object.pointer(layout.d_parent) !== dentry;
}

/** The name of a dentry in its directory. */
export function dentryName(kernel: Reader, dentry: KernelObject): Uint8Array {
  const { dentry: layout } = kernel.layout;
  const length = Math.min(dentry.u32(layout.name_length), MAX_NAME);
  return kernel.memory.readBytes(dentry.pointer(layout.name), length);
}

/** How a walk towards the root ended. */
interface PathEnd {
  readonly reason: 'root' | 'escaped' | 'limit';
  readonly at: GuestVirtualAddress;
}

function collectNames(kernel: Reader, path: KernelPath, root: KernelPath, names: Uint8Array[]): PathEnd {
  const { dentry: layout, vfsmount, mount } = kernel.layout;
  let { mnt, dentry } = path;
  for (let step = 0; step < MAX_STEPS; step++) {
    if (dentry === root.dentry && mnt === root.mnt) return { reason: 'root', at: dentry };
    const object = new KernelObject(kernel.memory, dentry);
    const parent = object.pointer(layout.d_parent);
    if (dentry === new KernelObject(kernel.memory, mnt).pointer(vfsmount.mnt_root)) {
      const own = new KernelObject(kernel.memory, gva(mnt - BigInt(mount.mnt)));
      const above = own.pointer(mount.mnt_parent);
      if (above === own.address) return { reason: 'root', at: dentry };
      dentry = own.pointer(mount.mnt_mountpoint);
      mnt = gva(above + BigInt(mount.mnt));
    } else {
      if (parent === dentry) return { reason: 'escaped', at: dentry };
      names.push(dentryName(kernel, object));
      dentry = parent;
    }
  }
  return { reason: 'limit', at: dentry };
}

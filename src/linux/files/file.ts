import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { Cut } from '../cut.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import { isUnlinked, type KernelPath, pathText } from './path.ts';
import { pseudoPath } from './pseudo-path.ts';

/** An open file (`struct file`) as `/proc` shows it. */
export interface OpenFile {
  /** From the root, with ` (deleted)` where the file was unlinked. */
  readonly path: string;
  /** Of the file system: `s_dev`. */
  readonly major: number;
  readonly minor: number;
  readonly inode: bigint;
  /** Where the path was cut short, if it was. */
  readonly cut: Cut | undefined;
}

/** `FMODE_BACKING` (include/linux/fs.h): bit 25 from 6.5 to 6.13, bit 24 from 6.14 on; not in the types. */
const FMODE_BACKING = (1 << 25) | (1 << 24);
/** Bits of a minor number in the kernel's own `dev_t` (include/linux/kdev_t.h). */
const MINOR_BITS = 20;

type Reader = Pick<Kernel, 'memory' | 'layout' | 'symbols'>;

/**
 * Reads a `struct file`; its path is told from the given root. The file of a stacked file system (overlay) is
 * shown as its user opened it, as the kernel does since 6.7. Throws a KernelMemoryError or
 * PhysicalMemoryError when a structure on the way is not there.
 */
export function readFile(kernel: Reader, address: GuestVirtualAddress, root: KernelPath): OpenFile {
  const { file: layout, inode: inodeLayout, super_block } = kernel.layout;
  const file = new KernelObject(kernel.memory, address);
  const user = userPath(kernel, file);
  const path = user ?? { mnt: file.pointer(layout.mnt), dentry: file.pointer(layout.dentry) };
  const inodeAddress = user === undefined ? file.pointer(layout.f_inode) : dentryInode(kernel, user.dentry);
  const inode = new KernelObject(kernel.memory, inodeAddress);
  const device = new KernelObject(kernel.memory, inode.pointer(inodeLayout.i_sb)).u32(super_block.s_dev);
  return {
    ...filePath(kernel, path, root),
    major: device >>> MINOR_BITS,
    minor: device & ((1 << MINOR_BITS) - 1),
    inode: inode.u64(inodeLayout.i_ino),
  };
}

/**
 * What tells an open file from another that the guest may put at the same address after closing it: its inode,
 * the inode's number, and its place among the mounts. Throws as {@link readFile} does.
 */
export function fileIdentity(kernel: Reader, address: GuestVirtualAddress): string {
  const { file: layout, inode: inodeLayout } = kernel.layout;
  const file = new KernelObject(kernel.memory, address);
  const inode = file.pointer(layout.f_inode);
  const number = new KernelObject(kernel.memory, inode).u64(inodeLayout.i_ino);
  return [address, inode, number, file.pointer(layout.dentry), file.pointer(layout.mnt)].join();
}

/** A path as `d_path()` writes it, also of files that lie in no directory. */
export function filePath(
  kernel: Reader,
  path: KernelPath,
  root: KernelPath,
): { readonly path: string; readonly cut: Cut | undefined } {
  const pseudo = pseudoPath(kernel, path);
  if (pseudo !== undefined) return { path: pseudo, cut: undefined };
  const { text, cut } = pathText(kernel, path, root);
  return { path: isUnlinked(kernel, path.dentry) ? `${text} (deleted)` : text, cut };
}

function dentryInode(kernel: Reader, dentry: GuestVirtualAddress): GuestVirtualAddress {
  return new KernelObject(kernel.memory, dentry).pointer(kernel.layout.dentry.d_inode);
}

/**
 * The path that was opened, of a file that stands for one in another file system (`struct backing_file`). As
 * the mark of such a file has moved, what it points to must be a path, too: mount and name in one file system.
 */
function userPath(kernel: Reader, file: KernelObject): KernelPath | undefined {
  const { backing_file: layout, file: fileLayout, dentry, vfsmount } = kernel.layout;
  if (layout === undefined || (file.u32(fileLayout.f_mode) & FMODE_BACKING) === 0) return undefined;
  try {
    const backing = new KernelObject(kernel.memory, gva(file.address - BigInt(layout.file)));
    const path = { mnt: backing.pointer(layout.user_mnt), dentry: backing.pointer(layout.user_dentry) };
    const mountBlock = new KernelObject(kernel.memory, path.mnt).pointer(vfsmount.mnt_sb);
    const nameBlock = new KernelObject(kernel.memory, path.dentry).pointer(dentry.d_sb);
    return mountBlock === nameBlock && mountBlock !== gva(0n) ? path : undefined;
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
    throw error;
  }
}

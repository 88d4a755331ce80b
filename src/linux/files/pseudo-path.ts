import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import { dentryName, type KernelPath } from './path.ts';
import { decodeText } from './text.ts';

type Reader = Pick<Kernel, 'memory' | 'layout' | 'symbols'>;

/** Writes the path of a dentry that lies in no directory. */
type NameWriter = (name: string, inode: bigint) => string;

/**
 * The kernel's functions that name files without a directory (`d_op->d_dname`), by symbol, and what each
 * writes: shared memory and memfd, files of `anon_inode_getfile()`, pipes, sockets.
 */
const WRITERS: Readonly<Record<string, NameWriter>> = {
  simple_dname: (name) => `/${name} (deleted)`,
  anon_inodefs_dname: (name) => `anon_inode:${name}`,
  pipefs_dname: (_name, inode) => `pipe:[${inode}]`,
  sockfs_dname: (_name, inode) => `socket:[${inode}]`,
};

/**
 * The path of a file that lies in no directory, such as `/memfd:name (deleted)` or `anon_inode:[io_uring]`;
 * undefined for all others, which have a real path. One that an unknown function of the kernel would name is
 * given by its bare name.
 */
export function pseudoPath(kernel: Reader, path: KernelPath): string | undefined {
  const { dentry: layout, dentry_operations, vfsmount } = kernel.layout;
  const dentry = new KernelObject(kernel.memory, path.dentry);
  const operations = dentry.pointer(layout.d_op);
  if (operations === gva(0n)) return undefined;
  const writer = new KernelObject(kernel.memory, operations).pointer(dentry_operations.d_dname);
  if (writer === gva(0n)) return undefined;
  const isRoot = dentry.pointer(layout.d_parent) === path.dentry;
  const mountRoot = new KernelObject(kernel.memory, path.mnt).pointer(vfsmount.mnt_root);
  if (isRoot && path.dentry === mountRoot) return undefined;
  const name = decodeText(dentryName(kernel, dentry));
  return writerAt(kernel, writer)?.(name, inodeNumber(kernel, dentry)) ?? name;
}

function writerAt(kernel: Reader, address: GuestVirtualAddress): NameWriter | undefined {
  const symbols = kernel.symbols.findMany(Object.keys(WRITERS));
  for (const [name, writer] of Object.entries(WRITERS)) if (symbols.get(name) === address) return writer;
  return undefined;
}

function inodeNumber(kernel: Reader, dentry: KernelObject): bigint {
  const { dentry: layout, inode } = kernel.layout;
  const address = dentry.pointer(layout.d_inode);
  return address === gva(0n) ? 0n : new KernelObject(kernel.memory, address).u64(inode.i_ino);
}

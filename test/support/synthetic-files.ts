import type { KernelPath } from '../../src/linux/files/path.ts';
import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import type { SyntheticKernel } from './synthetic-kernel.ts';

/** Builds mounts, dentries and files in a made-up kernel. */
export class FileWriter {
  readonly kernel: SyntheticKernel;

  constructor(kernel: SyntheticKernel) {
    this.kernel = kernel;
  }

  /** The root of a file system: it is its own parent. */
  rootDentry(name = '/'): GuestVirtualAddress {
    const dentry = this.dentry(gva(0n), name);
    this.kernel.put(dentry, this.kernel.layout.dentry.d_parent, dentry);
    return dentry;
  }

  dentry(parent: GuestVirtualAddress, name: string | Uint8Array): GuestVirtualAddress {
    const { kernel } = this;
    const { dentry: layout } = kernel.layout;
    const address = kernel.allocate(layout.size);
    kernel.put(address, layout.d_parent, parent);
    kernel.put(address, layout.name, kernel.text(name));
    kernel.put(address, layout.name_length, BigInt(Buffer.from(name).length));
    kernel.put(address, layout.hash_pprev, kernel.allocate(8));
    return address;
  }

  /** A mount of a file system's root; the address of its `vfsmount`. Without a place it is a top. */
  mount(root: GuestVirtualAddress, on?: KernelPath): GuestVirtualAddress {
    const { kernel } = this;
    const { mount: layout, vfsmount } = kernel.layout;
    const address = kernel.allocate(layout.size, 32);
    const mnt = gva(address + BigInt(layout.mnt));
    kernel.put(mnt, vfsmount.mnt_root, root);
    kernel.put(address, layout.mnt_parent, on === undefined ? address : on.mnt - BigInt(layout.mnt));
    kernel.put(address, layout.mnt_mountpoint, on?.dentry ?? root);
    return mnt;
  }

  /** An open file; its inode is on the device with these numbers. */
  file(path: KernelPath, inode: { readonly number: bigint; readonly device: number }): GuestVirtualAddress {
    const { kernel } = this;
    const { file: layout, inode: inodeLayout, super_block, dentry } = kernel.layout;
    const block = kernel.allocate(super_block.size);
    kernel.put(block, super_block.s_dev, BigInt(inode.device));
    const node = kernel.allocate(inodeLayout.size);
    kernel.put(node, inodeLayout.i_sb, block);
    kernel.put(node, inodeLayout.i_ino, inode.number);
    kernel.put(path.dentry, dentry.d_inode, node);
    const file = kernel.allocate(layout.size);
    kernel.put(file, layout.mnt, path.mnt);
    kernel.put(file, layout.dentry, path.dentry);
    kernel.put(file, layout.f_inode, node);
    return file;
  }

  /** Gives a dentry the function that names it, by its symbol. */
  namedBy(dentry: GuestVirtualAddress, symbol: string): void {
    const { kernel } = this;
    const writer = kernel.allocate(16);
    kernel.symbols.set(symbol, writer);
    const operations = kernel.allocate(kernel.layout.dentry_operations.size);
    kernel.put(operations, kernel.layout.dentry_operations.d_dname, writer);
    kernel.put(dentry, kernel.layout.dentry.d_op, operations);
  }
}

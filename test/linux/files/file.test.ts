import { describe, expect, test } from 'vitest';
import { UnderwatchError } from '../../../src/errors.ts';
import { readFile } from '../../../src/linux/files/file.ts';
import type { KernelPath } from '../../../src/linux/files/path.ts';
import { gva } from '../../../src/memory/address.ts';
import { FileWriter } from '../../support/synthetic-files.ts';
import { SyntheticKernel } from '../../support/synthetic-kernel.ts';

const INODE = { number: 4711n, device: (0xfe << 20) | 0x12345 };

function made() {
  const kernel = new SyntheticKernel();
  const writer = new FileWriter(kernel);
  const top = writer.rootDentry();
  const root: KernelPath = { mnt: writer.mount(top), dentry: top };
  const shown = (path: KernelPath, from: KernelPath = root) =>
    readFile(kernel, writer.file(path, INODE), from).path;
  return { kernel, writer, root, shown };
}

describe('a file', () => {
  test('has its path, device and inode', () => {
    const { kernel, writer, root } = made();
    const usr = writer.dentry(root.dentry, 'usr');
    const file = writer.file({ mnt: root.mnt, dentry: writer.dentry(usr, 'a b\n\\c') }, INODE);
    expect(readFile(kernel, file, root)).toEqual({
      path: '/usr/a b\n\\c',
      major: 0xfe,
      minor: 0x12345,
      inode: 4711n,
      cut: undefined,
    });
  });

  test('has a path across mounts, also of a folder that is bound elsewhere', () => {
    const { writer, root, shown } = made();
    const mnt = { mnt: root.mnt, dentry: writer.dentry(root.dentry, 'mnt') };
    const disk = writer.rootDentry();
    const disks = writer.mount(disk, mnt);
    const inner = writer.dentry(disk, 'inner');
    const file = writer.dentry(inner, 'file');
    expect(shown({ mnt: disks, dentry: file })).toBe('/mnt/inner/file');
    expect(shown({ mnt: disks, dentry: disk })).toBe('/mnt');
    const bound = { mnt: root.mnt, dentry: writer.dentry(root.dentry, 'bound') };
    expect(shown({ mnt: writer.mount(inner, bound), dentry: file })).toBe('/bound/file');
  });

  test('has a path from the root of its reader, or from the top where that is not on the way', () => {
    const { writer, root, shown } = made();
    const jail = writer.dentry(root.dentry, 'jail');
    const file = { mnt: root.mnt, dentry: writer.dentry(jail, 'file') };
    expect(shown(file, { mnt: root.mnt, dentry: jail })).toBe('/file');
    expect(shown(root)).toBe('/');
    const lonely = writer.rootDentry();
    expect(shown({ mnt: writer.mount(lonely), dentry: writer.dentry(lonely, 'detached') })).toBe('/detached');
  });

  test('that is unlinked says so', () => {
    const { kernel, writer, root, shown } = made();
    const gone = writer.dentry(root.dentry, 'gone');
    kernel.put(gone, kernel.layout.dentry.hash_pprev, 0n);
    expect(shown({ mnt: root.mnt, dentry: gone })).toBe('/gone (deleted)');
  });

  test('with a name that is not UTF-8 keeps its bytes', () => {
    const { writer, root, shown } = made();
    const dentry = writer.dentry(root.dentry, Buffer.from([0x61, 0xff, 0xc3, 0xbc, 0xc3]));
    expect(shown({ mnt: root.mnt, dentry })).toBe('/a\udcffü\udcc3');
  });

  test.each([
    ['simple_dname', 'memfd:x', '/memfd:x (deleted)'],
    ['anon_inodefs_dname', '[io_uring]', 'anon_inode:[io_uring]'],
    ['pipefs_dname', '', 'pipe:[4711]'],
    ['sockfs_dname', '', 'socket:[4711]'],
    ['unknown_dname', 'name', 'name'],
  ])('that %s names has the path it gives', (symbol, name, path) => {
    const { writer, shown } = made();
    const top = writer.rootDentry();
    const dentry = writer.dentry(top, name);
    writer.namedBy(dentry, symbol);
    expect(shown({ mnt: writer.mount(top), dentry })).toBe(path);
  });

  test('of a stacked file system is the one that was opened', () => {
    const { kernel, writer, root } = made();
    const { backing_file, file: layout, dentry, vfsmount } = kernel.layout;
    const lower = writer.rootDentry();
    const real = { mnt: writer.mount(lower), dentry: writer.dentry(lower, 'real') };
    const opened = { mnt: root.mnt, dentry: writer.dentry(root.dentry, 'opened') };
    writer.file(opened, { number: 1n, device: 7 });
    const file = writer.file(real, INODE);
    kernel.allocate(backing_file?.size ?? 0);
    expect(readFile(kernel, file, root)).toMatchObject({ path: '/real', inode: 4711n });
    const outer = gva(file - BigInt(backing_file?.file ?? 0));
    kernel.put(outer, backing_file?.user_mnt, opened.mnt);
    kernel.put(outer, backing_file?.user_dentry, opened.dentry);
    const block = kernel.allocate(64);
    kernel.put(opened.mnt, vfsmount.mnt_sb, block);
    kernel.put(opened.dentry, dentry.d_sb, block);
    for (const mark of [1n << 24n, 1n << 25n]) {
      kernel.put(file, layout.f_mode, mark);
      expect(readFile(kernel, file, root)).toMatchObject({ path: '/opened', inode: 1n, minor: 7 });
    }
    kernel.put(opened.mnt, vfsmount.mnt_sb, 0n);
    expect(readFile(kernel, file, root)).toMatchObject({ path: '/real' });
  });
});

describe('broken structures of a file', () => {
  test('that form a cycle end in a path that is reported as cut', () => {
    const { kernel, writer, root } = made();
    const first = writer.dentry(root.dentry, 'a');
    kernel.put(first, kernel.layout.dentry.d_parent, writer.dentry(first, 'b'));
    const { cut } = readFile(kernel, writer.file({ mnt: root.mnt, dentry: first }, INODE), root);
    expect(cut).toMatchObject({ reason: 'limit', structure: 'dentry' });
  });

  test('whose mounts form a cycle end, too', () => {
    const { kernel, writer, root } = made();
    const disk = writer.rootDentry();
    const { mount } = kernel.layout;
    const first = writer.mount(disk, root);
    const second = writer.mount(disk, { mnt: first, dentry: disk });
    kernel.put(gva(first - BigInt(mount.mnt)), mount.mnt_parent, second - BigInt(mount.mnt));
    kernel.put(gva(first - BigInt(mount.mnt)), mount.mnt_mountpoint, disk);
    const { cut } = readFile(kernel, writer.file({ mnt: first, dentry: disk }, INODE), root);
    expect(cut).toMatchObject({ reason: 'limit' });
  });

  test('that lie nowhere are a typed error', () => {
    const { kernel, writer, root } = made();
    const dentry = writer.dentry(gva(0xffff_9999_0000_0000n), 'x');
    const file = writer.file({ mnt: root.mnt, dentry }, INODE);
    expect(() => readFile(kernel, file, root)).toThrow(UnderwatchError);
    expect(() => readFile(kernel, gva(8n), root)).toThrow(UnderwatchError);
  });

  test('with a name of any length take no more than a name may have', () => {
    const { kernel, writer, root, shown } = made();
    const dentry = writer.dentry(root.dentry, 'x'.repeat(3000));
    kernel.put(dentry, kernel.layout.dentry.name_length, 0xffff_ffffn);
    expect(shown({ mnt: root.mnt, dentry })).toHaveLength(256);
  });
});

import { describe, expect, test } from 'vitest';
import { cgroupPath } from '../../src/linux/cgroup.ts';
import { readCommandLine } from '../../src/linux/command-line.ts';
import { readCredentials } from '../../src/linux/credentials.ts';
import { currentTask } from '../../src/linux/current-task.ts';
import { readExeFile } from '../../src/linux/files/exe-file.ts';
import { rootDirectory } from '../../src/linux/files/root.ts';
import { mountNamespace, pidInOwnNamespace } from '../../src/linux/namespaces.ts';
import { gva } from '../../src/memory/address.ts';
import { Registers } from '../../src/x86/registers.ts';
import type { KernelTypesOptions } from '../support/kernel-types.ts';
import { FileWriter } from '../support/synthetic-files.ts';
import { SyntheticKernel } from '../support/synthetic-kernel.ts';
import { writeProcesses } from '../support/synthetic-tasks.ts';

function made(options: KernelTypesOptions = {}) {
  const kernel = new SyntheticKernel(options);
  const mm = kernel.allocate(kernel.layout.mm_struct.size);
  const [task = gva(0n)] = writeProcesses(kernel, [{ pid: 1, comm: 'init', mm }]);
  return { kernel, task, mm };
}

describe('the current task of a CPU', () => {
  const area = 0xffff_8880_0000_0000n;

  function current(
    options: KernelTypesOptions,
    symbol: string,
    address: bigint,
    gs: Partial<Record<'gs_base' | 'k_gs_base', bigint>>,
  ) {
    const { kernel, task } = made(options);
    const variable = kernel.allocate(64);
    kernel.put(variable, kernel.layout.pcpu_hot?.current_task ?? 0, task);
    kernel.symbols.set(symbol, gva(address === 0n ? variable - area : address));
    const registers = new Registers();
    registers.set('gs_base', gs.gs_base ?? 0n);
    registers.set('k_gs_base', gs.k_gs_base ?? 0n);
    return { found: currentTask(kernel, registers), task, variable };
  }

  test('is at an offset from GS base, the swapped one in user mode', () => {
    for (const gs of [{ gs_base: area }, { gs_base: 0x7f00_0000_0000n, k_gs_base: area }]) {
      const { found, task } = current({ withoutStructs: ['pcpu_hot'] }, 'current_task', 0n, gs);
      expect(found).toBe(task);
    }
    const { found, task } = current({}, 'pcpu_hot', 0n, { gs_base: area });
    expect(found).toBe(task);
  });

  test('is at an address that GS base is added to, modulo 2^64', () => {
    const linked = 0xffff_ffff_8300_1000n;
    const probe = current({ withoutStructs: ['pcpu_hot'] }, 'current_task', linked, {});
    const gs = BigInt.asUintN(64, probe.variable - linked);
    const { found, task } = current({ withoutStructs: ['pcpu_hot'] }, 'current_task', linked, {
      gs_base: gs,
    });
    expect(found).toBe(task);
    expect(probe.found).toBeUndefined();
  });
});

describe('credentials', () => {
  test('are the numbers and capabilities of a task', () => {
    const { kernel } = made();
    const { cred: layout } = kernel.layout;
    const address = kernel.allocate(layout.size);
    kernel.put(address, layout.uid, 1000n);
    kernel.put(address, layout.euid, 0xffff_ffffn);
    kernel.put(address, layout.cap_effective, 0x1ff_ffff_ffffn);
    expect(readCredentials(kernel, address)).toMatchObject({
      uid: 1000,
      gid: 0,
      euid: 0xffff_ffff,
      effectiveCapabilities: 0x1ff_ffff_ffffn,
    });
  });
});

describe('namespaces', () => {
  test('give the number in the innermost one', () => {
    const { kernel, task } = made();
    const { task_struct, pid: layout, upid, nsproxy } = kernel.layout;
    expect(pidInOwnNamespace(kernel, task)).toBeUndefined();
    const pid = kernel.allocate(layout.size);
    kernel.put(task, task_struct.thread_pid, pid);
    kernel.put(pid, layout.numbers + upid.size + upid.nr, 7n);
    kernel.put(pid, layout.level, 1n);
    expect(pidInOwnNamespace(kernel, task)).toBe(7);
    kernel.put(pid, layout.level, 33n);
    expect(pidInOwnNamespace(kernel, task)).toBeUndefined();
    expect(mountNamespace(kernel, task)).toBe(0n);
    const proxy = kernel.allocate(nsproxy.size);
    kernel.put(task, task_struct.nsproxy, proxy);
    kernel.put(proxy, nsproxy.mnt_ns, 0x1234_5678n);
    expect(mountNamespace(kernel, task)).toBe(0x1234_5678n);
  });
});

describe('the control group', () => {
  function grouped(names: readonly string[]) {
    const { kernel, task } = made();
    const { task_struct, css_set, cgroup, kernfs_node } = kernel.layout;
    if (css_set === undefined || cgroup === undefined || kernfs_node === undefined)
      throw new Error('no cgroups');
    const nodes = names.map(() => kernel.allocate(kernfs_node.size));
    names.forEach((name, index) => {
      kernel.put(nodes[index] ?? task, kernfs_node.name, kernel.text(name));
      kernel.put(nodes[index] ?? task, kernfs_node.parent, nodes[index - 1] ?? 0n);
    });
    const set = kernel.allocate(css_set.size);
    const group = kernel.allocate(cgroup.size);
    kernel.put(task, task_struct.cgroups, set);
    kernel.put(set, css_set.dfl_cgrp, group);
    kernel.put(group, cgroup.kn, nodes.at(-1) ?? 0n);
    return { kernel, task, nodes, parent: kernfs_node.parent };
  }

  test('has its path from the root', () => {
    const { kernel, task } = grouped(['', 'system.slice', 'ssh.service']);
    expect(cgroupPath(kernel, task)).toBe('/system.slice/ssh.service');
    const root = grouped(['']);
    expect(cgroupPath(root.kernel, root.task)).toBe('/');
  });

  test('whose parents form a cycle has none', () => {
    const { kernel, task, nodes, parent } = grouped(['', 'a']);
    kernel.put(nodes[0] ?? task, parent, nodes[1] ?? task);
    expect(cgroupPath(kernel, task)).toBeUndefined();
  });
});

describe('the command line', () => {
  /** Maps a page at user address 0x1000 by page tables of its own. */
  function withArguments(text: string, length = text.length) {
    const { kernel, mm } = made();
    const { mm_struct: layout } = kernel.layout;
    const page = kernel.allocate(4096, 4096);
    kernel.putText(page, 0, text);
    const tables = Array.from({ length: 4 }, () => kernel.allocate(4096, 4096));
    tables.forEach((table, index) => {
      const next = tables[index + 1];
      const entry = next === undefined ? 8 : 0;
      kernel.put(table, entry, BigInt(kernel.physicalOf(next ?? page)) | 7n);
    });
    kernel.put(mm, layout.pgd, tables[0] ?? 0n);
    kernel.put(mm, layout.arg_start, 0x1000n);
    kernel.put(mm, layout.arg_end, 0x1000n + BigInt(length));
    return readCommandLine(kernel, mm);
  }

  test('is the arguments that the process was started with', () => {
    expect(withArguments('sh\0-c\0\0echo grüß\0', 18)).toEqual({
      arguments: ['sh', '-c', '', 'echo grüß'],
      truncated: false,
    });
    expect(withArguments('')).toEqual({ arguments: [], truncated: false });
  });

  test('that is not all in memory, or endless, says so', () => {
    expect(withArguments('cat\0', 10_000).truncated).toBe(true);
    expect(withArguments('cat\0', 2 ** 40).truncated).toBe(true);
  });
});

describe('the executable', () => {
  test('is told from the root directory of process 1', () => {
    const { kernel, task, mm } = made();
    const { task_struct, fs_struct, path, mm_struct } = kernel.layout;
    const writer = new FileWriter(kernel);
    const top = writer.rootDentry();
    const root = { mnt: writer.mount(top), dentry: top };
    const fs = kernel.allocate(fs_struct.size);
    kernel.put(task, task_struct.fs, fs);
    kernel.put(fs, fs_struct.root + path.mnt, root.mnt);
    kernel.put(fs, fs_struct.root + path.dentry, root.dentry);
    expect(rootDirectory(kernel)).toEqual(root);
    expect(readExeFile(kernel, mm, root)).toBeUndefined();
    const place = { mnt: root.mnt, dentry: writer.dentry(top, 'init') };
    kernel.put(mm, mm_struct.exe_file, writer.file(place, { number: 5n, device: 1 }));
    expect(readExeFile(kernel, mm, root)).toMatchObject({ path: '/init', inode: 5n });
    kernel.put(mm, mm_struct.exe_file, 0xffff_9999_0000_0000n);
    expect(readExeFile(kernel, mm, root)).toBeUndefined();
  });
});

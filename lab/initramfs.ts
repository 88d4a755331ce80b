import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compile } from './compile.ts';
import { type CpioEntry, writeCpio } from './cpio.ts';
import { LabError } from './errors.ts';
import type { Kernel } from './kernel-package.ts';
import { PROGRAMS_FOLDER } from './program-sources.ts';
import { guestPath, PROGRAMS, sourceOf } from './programs.ts';

const FOLDER = 0o040755;
const FILE = 0o100644;
const EXECUTABLE = 0o100755;
const CHARACTER_DEVICE = 0o020600;

const FOLDERS = [
  'bin',
  'dev',
  'proc',
  'sys',
  'tmp',
  'root',
  'etc',
  'mnt',
  'mnt/data',
  'mnt/bound',
  'modules',
  'lab',
];

/**
 * Builds the first root file system of a guest: busybox, the agent, the lab's programs below `/lab`, the kernel's
 * modules for the control channel, and an init. Not compressed: a guest under TCG spends longer on unpacking than QEMU
 * on loading.
 */
export async function buildInitramfs(kernel: Kernel): Promise<Uint8Array> {
  return writeCpio(await contents(kernel));
}

async function contents(kernel: Kernel): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = FOLDERS.map((path) => ({ path, mode: FOLDER }));
  entries.push({ path: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] });
  entries.push({
    path: 'init',
    mode: EXECUTABLE,
    data: await readFile(join(PROGRAMS_FOLDER, 'system', 'init.sh')),
  });
  entries.push({ path: 'bin/busybox', mode: EXECUTABLE, data: await readBusybox() });
  entries.push({
    path: 'bin/agent',
    mode: EXECUTABLE,
    data: await readFile(await compile('system/agent.c')),
  });
  entries.push(...(await moduleEntries(kernel)), ...(await programEntries()));
  return entries;
}

async function moduleEntries(kernel: Kernel): Promise<CpioEntry[]> {
  const order = kernel.modules.map((path) => `${basename(path)}\n`).join('');
  const entries: CpioEntry[] = [{ path: 'modules/order', mode: FILE, data: Buffer.from(order) }];
  for (const path of kernel.modules) {
    entries.push({ path: `modules/${basename(path)}`, mode: FILE, data: await readFile(path) });
  }
  return entries;
}

async function programEntries(): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = ['attack', 'benign', 'helper'].map((kind) => ({
    path: `lab/${kind}`,
    mode: FOLDER,
  }));
  for (const program of PROGRAMS) {
    const data = await readFile(await compile(sourceOf(program), program.flags));
    entries.push({ path: guestPath(program).slice(1), mode: EXECUTABLE, data });
  }
  return entries;
}

async function readBusybox(): Promise<Buffer> {
  try {
    return await readFile('/bin/busybox');
  } catch {
    throw new LabError('busybox is missing: install the Debian package busybox-static');
  }
}

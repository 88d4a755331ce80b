import { Command } from 'commander';
import { readable } from '../errors.ts';
import { readCredentials } from '../linux/credentials.ts';
import { readExeFile } from '../linux/files/exe-file.ts';
import type { KernelPath } from '../linux/files/path.ts';
import { rootDirectory } from '../linux/files/root.ts';
import type { Kernel } from '../linux/kernel.ts';
import { parentPid, type Task } from '../linux/task.ts';
import { listProcesses, listThreads } from '../linux/task-list.ts';
import { gva, hex } from '../memory/address.ts';
import { type OpenOptions, openTarget } from '../target.ts';
import { noteCuts } from './notes.ts';
import { formatOption, ramLayoutOption, targetArgument } from './options.ts';
import { type Column, type Format, printRows, type Row } from './output.ts';

const COLUMNS: readonly Column[] = [
  { field: 'pid', heading: 'PID', align: 'right' },
  { field: 'ppid', heading: 'PPID', align: 'right' },
  { field: 'uid', heading: 'UID', align: 'right' },
  { field: 'state', heading: 'S' },
  { field: 'threads', heading: 'THREADS', align: 'right' },
  { field: 'comm', heading: 'COMM' },
  { field: 'path', heading: 'PATH' },
];

const THREAD_COLUMNS: readonly Column[] = COLUMNS.map((column) =>
  column.field === 'threads' ? { field: 'tid', heading: 'TID', align: 'right' } : column,
);

type PsOptions = { threads?: true; format: Format } & OpenOptions;

/** `underwatch ps TARGET`: processes and, if asked for, their threads. */
export function psCommand(): Command {
  return new Command('ps')
    .description('list processes and threads')
    .addArgument(targetArgument())
    .option('-T, --threads', 'a line for each thread')
    .addOption(ramLayoutOption())
    .addOption(formatOption())
    .action(async (name: string, { threads, format, ...opening }: PsOptions) => {
      await using target = await openTarget(name, opening);
      const rows = [...processRows(target.kernel, threads === true)];
      await printRows(rows, threads === true ? THREAD_COLUMNS : COLUMNS, format);
    });
}

function* processRows(kernel: Kernel, withThreads: boolean): Generator<Row> {
  const root = rootDirectory(kernel);
  const { tasks, cuts } = listProcesses(kernel);
  noteCuts('the list of processes was', cuts);
  for (const process of tasks) {
    const threads = listThreads(kernel, process);
    noteCuts(`the list of the threads of process ${process.pid} was`, threads.cuts);
    const row = processRow(kernel, process, root);
    if (!withThreads) yield { ...row, threads: Math.max(1, threads.tasks.length) };
    else for (const { pid, comm, state } of threads.tasks) yield { ...row, tid: pid, comm, state };
  }
}

function processRow(kernel: Kernel, task: Task, root: KernelPath): Row {
  const hasMemory = task.mm !== gva(0n);
  const credentials = readable(() => readCredentials(kernel, task.credentials));
  return {
    pid: task.tgid,
    ppid: readable(() => parentPid(kernel, task)) ?? null,
    uid: credentials?.uid ?? null,
    euid: credentials?.euid ?? null,
    gid: credentials?.gid ?? null,
    state: task.state,
    kernelThread: task.isKernelThread,
    comm: task.comm,
    path: hasMemory ? (readExeFile(kernel, task.mm, root)?.path ?? null) : null,
    task: hex(task.address),
    mm: hasMemory ? hex(task.mm) : null,
  };
}

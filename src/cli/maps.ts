import { Command } from 'commander';
import { rootDirectory } from '../linux/files/root.ts';
import type { Kernel } from '../linux/kernel.ts';
import { formatDevice, formatMapsRow, listMaps, type MapsRow } from '../linux/maps.ts';
import type { Task } from '../linux/task.ts';
import { listProcesses } from '../linux/task-list.ts';
import { gva, hex } from '../memory/address.ts';
import { openTarget } from '../target.ts';
import { noteCuts } from './notes.ts';
import { formatOption, parsePid, targetArgument } from './options.ts';
import { type Format, jsonInteger, printable, printJsonRows, type Row, TextOutput } from './output.ts';
import { requireUserProcess } from './process.ts';

type MapsOptions = { pid?: number; format: Format };

/** `underwatch maps TARGET`: every VMA, as the guest's own `/proc/PID/maps` would print it. */
export function mapsCommand(): Command {
  return new Command('maps')
    .description('list every VMA, as /proc/PID/maps would print it')
    .addArgument(targetArgument())
    .option('-p, --pid <PID>', 'of one process only', parsePid)
    .addOption(formatOption())
    .action(async (name: string, { pid, format }: MapsOptions) => {
      await using target = await openTarget(name);
      const { kernel } = target;
      const output = new TextOutput();
      if (pid !== undefined) await print(kernel, [requireUserProcess(kernel, pid)], format, output, false);
      else await print(kernel, userProcesses(kernel), format, output, true);
      await output.flush();
    });
}

async function print(
  kernel: Kernel,
  tasks: readonly Task[],
  format: Format,
  output: TextOutput,
  withHeadings: boolean,
): Promise<void> {
  if (format !== 'table') return printJsonRows(jsonRows(kernel, tasks), format, output);
  for (const { task, rows } of mapsOf(kernel, tasks)) {
    if (withHeadings) await output.line(`# ${task.tgid} ${printable(task.comm)}`);
    for (const row of rows) await output.line(formatMapsRow(row));
  }
}

function* jsonRows(kernel: Kernel, tasks: readonly Task[]): Generator<Row> {
  for (const { task, rows } of mapsOf(kernel, tasks)) for (const row of rows) yield jsonRow(task, row);
}

function jsonRow({ tgid, comm }: Task, row: MapsRow): Row {
  return {
    pid: tgid,
    comm,
    start: hex(row.start),
    end: hex(row.end),
    perms: row.permissions,
    offset: hex(row.offset),
    dev: formatDevice(row),
    inode: jsonInteger(row.inode),
    path: row.path,
  };
}

function* mapsOf(
  kernel: Kernel,
  tasks: readonly Task[],
): Generator<{ readonly task: Task; readonly rows: readonly MapsRow[] }> {
  const root = rootDirectory(kernel);
  for (const task of tasks) {
    const { rows, cuts } = listMaps(kernel, task.mm, root);
    noteCuts(`the map of process ${task.tgid} was`, cuts);
    yield { task, rows };
  }
}

function userProcesses(kernel: Kernel): Task[] {
  const { tasks, cuts } = listProcesses(kernel);
  noteCuts('the list of processes was', cuts);
  return tasks.filter((task) => !task.isKernelThread && task.mm !== gva(0n));
}

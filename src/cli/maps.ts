import { Command } from 'commander';
import { rootDirectory } from '../linux/files/root.ts';
import type { Kernel } from '../linux/kernel.ts';
import { visitMaps } from '../linux/maps.ts';
import { hasUserMemory, type Task } from '../linux/task.ts';
import { listProcesses } from '../linux/task-list.ts';
import { type OpenOptions, openTarget, type Target } from '../target.ts';
import { ByteOutput } from './byte-output.ts';
import { mapsWriter } from './maps-writer.ts';
import { noteCuts } from './notes.ts';
import { formatOption, parsePid, ramLayoutOption, targetArgument } from './options.ts';
import type { Format } from './output.ts';
import { requireUserProcess } from './process.ts';

type MapsOptions = { pid?: number; format: Format } & OpenOptions;

/** `underwatch maps TARGET`: every VMA, as the guest's own `/proc/PID/maps` would print it. */
export function mapsCommand(): Command {
  return new Command('maps')
    .description('list every VMA, as /proc/PID/maps would print it')
    .addArgument(targetArgument())
    .option('-p, --pid <PID>', 'of one process only', parsePid)
    .addOption(ramLayoutOption())
    .addOption(formatOption())
    .action(async (name: string, { pid, format, ...opening }: MapsOptions) => {
      await using target = await openTarget(name, opening);
      const { kernel } = target;
      const tasks = pid === undefined ? userProcesses(kernel) : [requireUserProcess(kernel, pid)];
      await print(target, tasks, format, pid === undefined);
    });
}

async function print(
  { kernel, machine }: Target,
  tasks: readonly Task[],
  format: Format,
  withHeadings: boolean,
): Promise<void> {
  const live = machine.live !== undefined;
  const root = rootDirectory(kernel);
  const output = new ByteOutput();
  const writer = mapsWriter(format, output, withHeadings);
  for (const task of tasks) {
    writer.process(task);
    const cuts = visitMaps(kernel, task.mm, root, (cursor, backing) => writer.row(cursor, backing), { live });
    noteCuts(`the map of process ${task.tgid} was`, cuts);
    await output.settle();
  }
  writer.end();
  await output.flush();
}

function userProcesses(kernel: Kernel): Task[] {
  const { tasks, cuts } = listProcesses(kernel);
  noteCuts('the list of processes was', cuts);
  return tasks.filter(hasUserMemory);
}

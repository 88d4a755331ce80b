import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest, type RunningCommand } from '../../lab/guest.ts';
import { rootDirectory } from '../../src/linux/files/root.ts';
import { decodeText } from '../../src/linux/files/text.ts';
import { formatMapsRow, listMaps } from '../../src/linux/maps.ts';
import type { Task } from '../../src/linux/task.ts';
import { listProcesses } from '../../src/linux/task-list.ts';
import { openTarget, type Target } from '../../src/target.ts';
import { kernelsUnderTest } from '../support/kernels.ts';

const OPERATIONS = 2000;
const CHECKPOINTS = 20;
/** How long rows are read from a guest that runs on. */
const LIVE_MS = 8000;
const POLL = { timeout: 60_000, interval: 20 };
/** Vsyscall pages are shown in one mode only by kernels that were not built without. */
const CASES = kernelsUnderTest().flatMap((kernel) => [
  { kernel, cpus: 1, commandLine: 'vsyscall=xonly', seed: 7 },
  { kernel, cpus: 2, commandLine: 'vsyscall=emulate', seed: 8 },
]);

describe.each(CASES)(
  'maps of Linux $kernel with $cpus vCPU and $commandLine',
  ({ kernel, seed, ...options }) => {
    let guest: Guest;
    let target: Target;
    beforeAll(async () => {
      guest = await bootGuest({ kernel, ...options });
      target = await openTarget(`qemu:${guest.qmpSocket}`);
    });
    afterAll(async () => {
      await target?.[Symbol.asyncDispose]();
      await guest?.[Symbol.asyncDispose]();
    });

    /** Processes that have memory of their own. */
    const programs = (): Task[] => {
      const { tasks, cuts } = listProcesses(target.kernel);
      expect(cuts).toEqual([]);
      return tasks.filter(({ mm }) => mm !== 0n);
    };

    const rowsOf = (task: Task): string[] => {
      const { rows, cuts } = listMaps(target.kernel, task.mm, rootDirectory(target.kernel));
      expect(cuts).toEqual([]);
      return rows.map(formatMapsRow);
    };

    const guestRows = async (pid: number): Promise<string[]> =>
      decodeText(await guest.readFile(`/proc/${pid}/maps`))
        .split('\n')
        .slice(0, -1);

    test('equal those of every process while one changes its own at random', async () => {
      const program = await guest.spawn(
        `/lab/benign/maps_random ${seed} ${OPERATIONS} ${CHECKPOINTS} /tmp/checked.log`,
      );
      const paths = new Set<string>();
      for (let checkpoint = 1; checkpoint <= CHECKPOINTS; checkpoint++) {
        await stoppedAt(guest, program, checkpoint);
        for (const task of programs()) {
          const rows = rowsOf(task);
          expect(rows).toEqual(await guestRows(task.pid));
          for (const row of rows) paths.add(row.slice(73));
        }
        program.kill(18);
      }
      expect((await program.wait()).output).toContain(`maps_random ok ${OPERATIONS}`);
      for (const path of ['[heap]', '[stack]', '[vdso]', '[vvar]', '[vsyscall]', '/bin/agent'])
        expect(paths).toContain(path);
      for (const part of ['\\012', ' (deleted)', '/memfd:', '/dev/zero', '/SYSV', '/mnt/bound/', '\udcff'])
        expect([...paths].filter((path) => path.includes(part))).not.toEqual([]);
    });

    test('of a program that runs on are rows that its own log says existed', async () => {
      const program = await guest.spawn(`/lab/benign/maps_random ${seed + 100} 1000000 0 /tmp/live.log`);
      await hasBegun(guest, program, '/tmp/live.log');
      const task = programs().find(({ pid }) => pid === program.pid);
      if (task === undefined) throw new Error('maps_random is not on the list of processes');
      const seen = new Set<string>();
      const end = performance.now() + LIVE_MS;
      let listings = 0;
      for (; performance.now() < end; listings++) {
        const { rows } = listMaps(target.kernel, task.mm, rootDirectory(target.kernel));
        for (const row of rows) seen.add(formatMapsRow(row));
        await new Promise(setImmediate);
      }
      program.kill(19);
      await isStopped(guest, program);
      const log = decodeText(await guest.readFile('/tmp/live.log')).split('\n');
      const now = await guestRows(program.pid);
      program.kill(9);
      await program.wait();
      const logged = new Set([
        ...log.filter((line) => line.startsWith('+')).map((line) => line.slice(1)),
        ...now,
      ]);
      expect(listings).toBeGreaterThan(50);
      expect(seen.size).toBeGreaterThan(500);
      expect([...seen].filter((row) => !logged.has(row))).toEqual([]);
    });
  },
);

/** Waits until the program has printed a checkpoint and stopped itself. */
async function stoppedAt(guest: Guest, program: RunningCommand, checkpoint: number): Promise<void> {
  await expect.poll(() => program.output(), POLL).toContain(`checkpoint ${checkpoint}\n`);
  await isStopped(guest, program);
}

async function isStopped(guest: Guest, program: RunningCommand): Promise<void> {
  await expect
    .poll(async () => (await guest.readFile(`/proc/${program.pid}/stat`)).toString(), POLL)
    .toContain(') T ');
}

/** Waits until the program, no longer the shell that starts it, has begun its log. */
async function hasBegun(guest: Guest, program: RunningCommand, log: string): Promise<void> {
  const logged = async () => (await guest.run(`grep -m 1 '^op 1 ' ${log}`)).output;
  await expect.poll(logged, POLL).not.toBe('');
  expect((await guest.readFile(`/proc/${program.pid}/comm`)).toString()).toBe('maps_random\n');
}

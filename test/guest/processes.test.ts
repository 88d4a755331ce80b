import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { cgroupPath } from '../../src/linux/cgroup.ts';
import { readCommandLine } from '../../src/linux/command-line.ts';
import { readCredentials } from '../../src/linux/credentials.ts';
import { currentTask } from '../../src/linux/current-task.ts';
import { readExeFile } from '../../src/linux/files/exe-file.ts';
import { rootDirectory } from '../../src/linux/files/root.ts';
import { pidInOwnNamespace } from '../../src/linux/namespaces.ts';
import { parentPid, readTask, type Task } from '../../src/linux/task.ts';
import { listProcesses, listThreads } from '../../src/linux/task-list.ts';
import { openTarget, type Target } from '../../src/target.ts';
import { kernelsUnderTest } from '../support/kernels.ts';

/** Prints what the guest itself knows of each process, a line each; itself and its children left out. */
const ASK = `for p in /proc/[0-9]*; do
  s=$(grep -E '^(Tgid|PPid|Uid|CapEff|Threads|NSpid|Name):' $p/status | tr '\\t\\n' ' ;')
  [ "\${p#/proc/}" = $$ ] || echo "$s exe=$(readlink $p/exe) cgroup=$(cut -d: -f3 $p/cgroup) args=$(tr '\\0' ',' < $p/cmdline)"
done`;

/** Every process's arguments. */
const COMMANDS = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '";

describe.each(kernelsUnderTest())('processes of Linux %s', (kernel) => {
  let guest: Guest;
  let target: Target;
  beforeAll(async () => {
    guest = await bootGuest({ kernel, cpus: 2 });
    target = await openTarget(`qemu:${guest.qmpSocket}`);
  });
  afterAll(async () => {
    await target?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
  });

  /** What the guest prints of a process, from outside. */
  const described = (task: Task): string => {
    const { kernel: found } = target;
    const { uid, euid, suid, fsuid, effectiveCapabilities } = readCredentials(found, task.credentials);
    const own = pidInOwnNamespace(found, task.address);
    const status = [
      `Name: ${task.comm}`,
      `Tgid: ${task.tgid}`,
      `PPid: ${parentPid(found, task)}`,
      `Uid: ${[uid, euid, suid, fsuid].join(' ')}`,
      `NSpid: ${own === task.tgid ? own : `${task.tgid} ${own}`}`,
      `Threads: ${listThreads(found, task).tasks.length}`,
      `CapEff: ${effectiveCapabilities.toString(16).padStart(16, '0')}`,
    ];
    const hasMemory = task.mm !== 0n;
    const exe = hasMemory ? (readExeFile(found, task.mm, rootDirectory(found))?.path ?? '') : '';
    const args = hasMemory ? readCommandLine(found, task.mm).arguments.map((text) => `${text},`) : [];
    return `${status.join(';')}; exe=${exe} cgroup=${cgroupPath(found, task.address)} args=${args.join('')}`;
  };

  test('are as the guest itself sees them', async () => {
    const { output } = await guest.run(
      'mount -t cgroup2 none /sys/fs/cgroup; mkdir -p /sys/fs/cgroup/a/b; cp /bin/busybox /tmp/busybox',
    );
    expect(output).toBe('');
    await guest.spawn('echo $$ > /sys/fs/cgroup/a/b/cgroup.procs; exec sleep 1001');
    await guest.spawn('exec unshare -p -f sleep 1002');
    await guest.spawn(
      'echo nobody:x:65534:65534::/:/bin/sh > /etc/passwd; exec start-stop-daemon -S -c nobody -x /bin/sleep 1003',
    );
    await guest.spawn('exec /tmp/busybox sleep 1004');
    for (const number of [1001, 1002, 1003, 1004])
      await expect.poll(async () => (await guest.run(COMMANDS)).output).toContain(`sleep ${number}`);
    await guest.run('rm /tmp/busybox');
    const asked = (await guest.run(ASK)).output.trimEnd().split('\n');
    const { tasks, cuts } = listProcesses(target.kernel);
    expect(cuts).toEqual([]);
    const seen = new Map(tasks.map((task) => [task.tgid, described(task)]));
    // Since 5.17 the guest shows more than the 15 bytes of `comm` for threads of its kernel.
    const shortened = (line: string) => line.replace(/Name: ([^;]{15})[^;]*/, 'Name: $1');
    const guestSaw = asked.map((line) => shortened(line.replaceAll(/ +/g, ' ').replaceAll(' ;', ';')));
    const steady = guestSaw.filter((line) => !/Name: (kworker|sh|grep|tr|cut)/.test(line));
    expect(steady.length).toBeGreaterThan(25);
    for (const line of steady) expect(seen.get(Number(/Tgid: (\d+)/.exec(line)?.[1]))).toBe(line);
  });

  test('that a vCPU runs are found from its registers', async () => {
    const busy = await guest.spawn('exec sh -c "while :; do :; done"');
    await expect.poll(async () => runningPids(target)).toContain(busy.pid);
    busy.kill();
    await busy.wait();
  });
});

/** What each vCPU runs at this moment. */
async function runningPids({ machine, kernel }: Target): Promise<(number | undefined)[]> {
  if (machine.live === undefined) return [];
  await using stopped = await machine.live.debug();
  const pids: (number | undefined)[] = [];
  for (const vcpu of stopped.vcpus) {
    const task = currentTask(kernel, await stopped.readRegisters(vcpu));
    pids.push(task === undefined ? undefined : readTask(kernel, task).pid);
  }
  return pids;
}

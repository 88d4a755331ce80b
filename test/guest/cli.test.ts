import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { commandOf, programNamed } from '../../lab/programs.ts';
import { kernelsUnderTest } from '../support/kernels.ts';
import { runCli, startCli } from '../support/run-cli.ts';

const POLICY = 'version: 1\nprocesses:\n  - match: { path: /lab/attack/* }\n    action: block\n';
const ATTACK = programNamed('rwx');

describe.each(kernelsUnderTest())('underwatch on %s', (kernel) => {
  let guest: Guest;
  let target = '';
  let folder = '';
  let policy = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'underwatch-cli-'));
    policy = join(folder, 'policy.yaml');
    writeFileSync(policy, POLICY);
    guest = await bootGuest({ kernel, qemu: 'newest', cpus: 1 });
    target = `qemu:${guest.qmpSocket}`;
  });
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('info finds the same by registers and from memory alone', async () => {
    const found = await Promise.all(
      ['registers', 'memory'].map(async (locate) => {
        const { stdout, status } = await runCli('info', target, '--locate', locate, '--format', 'json');
        expect(status).toBe(0);
        const { found: how, uptime, guestTime, ...facts } = JSON.parse(stdout);
        expect(how.method).toBe(locate);
        expect(uptime).toBeGreaterThan(0);
        expect(Date.parse(guestTime)).toBeGreaterThan(0);
        return facts;
      }),
    );
    expect(found[0]).toEqual(found[1]);
    expect((await guest.run('uname -r')).output.trim()).toBe(found[0].release);
  });

  test('ps lists what the guest lists', async () => {
    const { stdout, status } = await runCli('ps', target, '--format', 'ndjson');
    expect(status).toBe(0);
    const pids = new Set(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).pid),
    );
    const { output } = await guest.run("ls /proc | grep '^[0-9]'");
    const settled = output
      .trim()
      .split('\n')
      .map(Number)
      .filter((pid) => pid < 50);
    expect(settled.filter((pid) => !pids.has(pid))).toEqual([]);
  });

  test('ps --threads gives a row for each thread', async () => {
    const { stdout } = await runCli('ps', target, '--threads', '--format', 'json');
    const rows: { pid: number; tid: number; comm: string }[] = JSON.parse(stdout);
    expect(rows.find(({ pid, tid }) => pid === 1 && tid === 1)?.comm).toBe('agent');
  });

  test('maps prints a process as the guest does', async () => {
    const { stdout } = await runCli('maps', target, '--pid', '1');
    expect(stdout).toBe((await guest.readFile('/proc/1/maps')).toString());
  });

  test('vma names the area that an address lies in', async () => {
    const [first = ''] = (await guest.readFile('/proc/1/maps')).toString().split('\n');
    const [range = '', perms] = first.split(' ');
    const [start = ''] = range.split('-');
    const { stdout } = await runCli('vma', target, '--pid', '1', '--address', start, '--format', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ pid: 1, start: `0x${start.replace(/^0+/, '')}`, perms });
  });

  test('symbols and struct answer by name and by glob', async () => {
    const symbol = await runCli('symbols', target, 'init_task', '--format', 'json');
    const { output } = await guest.run("grep ' init_task$' /proc/kallsyms");
    expect(JSON.parse(symbol.stdout)[0].address).toBe(`0x${output.split(' ')[0]}`);
    const struct = await runCli('struct', target, 'vm_area_struct');
    expect(struct.stdout).toMatch(/^struct vm_area_struct \{/);
    expect((await runCli('struct', target, 'no_such_struct')).status).toBe(2);
    expect((await runCli('symbols', target, 'no_such_*')).status).toBe(2);
  });

  test('a process that is not there is wrong usage', async () => {
    const { stderr, status } = await runCli('maps', target, '--pid', '99999');
    expect(stderr).toBe('underwatch: the guest has no process 99999\n');
    expect(status).toBe(2);
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('guard blocks until %s, then the guest is its own again', async (signal, status) => {
    const guard = startCli('guard', target, '--policy', policy, '--format', 'ndjson', '--events', 'process');
    await guard.printed('"guard.started"');
    expect((await guest.run(commandOf(ATTACK))).signal).toBe(9);
    guard.process.kill(signal);
    const ended = await guard.ended;
    expect(ended.status).toBe(status);
    const types = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).type);
    expect(types).toEqual([
      'guard.started',
      'process.protected',
      'alert',
      'process.released',
      'guard.stopped',
    ]);
    expect((await guest.run(commandOf(ATTACK))).output).toContain(ATTACK.achieves);
    expect(guest.logProblems()).toEqual([]);
  });

  test('guard --for ends by itself: 0 when nothing was found, 1 with detections', async () => {
    const quiet = await runCli('guard', target, '--policy', policy, '--for', '0.2');
    expect(quiet.status).toBe(0);
    const guard = startCli('guard', target, '--policy', policy, '--for', '4');
    await guard.printed('guarding');
    expect((await guest.run(commandOf(ATTACK))).signal).toBe(9);
    const ended = await guard.ended;
    expect(ended.status).toBe(1);
    expect(ended.stdout).toMatch(/KILLED {4}rwx\[\d+\]/);
  });

  test('a machine that goes away under a guard is status 4 and one sentence', async () => {
    const guard = startCli('guard', target, '--policy', policy);
    await guard.printed('guarding');
    process.kill(guest.qemuPid, 'SIGKILL');
    const { stderr, status } = await guard.ended;
    expect(stderr).toBe('underwatch: the machine went away\n');
    expect(status).toBe(4);
  });
});

import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest, type RunningCommand } from '../../lab/guest.ts';
import { ATTACKS, BENIGN, commandOf, type GuestProgram, programNamed } from '../../lab/programs.ts';
import { findProtectionMap, protectionOfText } from '../../src/guard/find-protection-map.ts';
import { openTarget } from '../../src/target.ts';
import { GUARDED, guarded, installGuarded, policyText } from '../support/guarded.ts';
import { kernelsUnderTest } from '../support/kernels.ts';
import { kernelTextHash, protectionProblems } from '../support/protection-check.ts';

const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;
const BLOCK = policyText('block');
const AUDIT = policyText('audit');

/** What each attack must be recognised by. */
const CHECKS: Readonly<Record<string, readonly string[]>> = {
  mprotect_rx: ['written', 'code?'],
  rwx: ['writable', 'code?'],
  exec_stack: ['stack', 'writable', 'code'],
  late_touch: ['writable', 'code?'],
  thread: ['written', 'code?'],
  overflow: ['stack', 'writable', 'code'],
  shell: ['written', 'code'],
  reverse_shell: ['writable', 'code'],
  stager: ['writable', 'code'],
};

/** What the analysis must say of each attack's code: traits, system calls (the lab's payloads write a line) and chains. */
const CODE: Readonly<Record<string, { traits: string[]; syscalls: string[]; chains: string[] }>> = {
  mprotect_rx: payload('mprotect_rx'),
  rwx: { ...payload('rwx'), syscalls: [...payload('rwx').syscalls, 'exit_group(42)'] },
  exec_stack: payload('exec_stack'),
  late_touch: payload('late_touch'),
  thread: payload('thread'),
  overflow: {
    ...payload('overflow'),
    traits: ['syscall', 'nop-sled'],
    syscalls: [...payload('overflow').syscalls, 'exit_group(43)'],
  },
  shell: {
    traits: ['stack-string', 'syscall'],
    syscalls: ['execve("/bin//sh", ["/bin//sh", "-c", "echo PWNED shell"], NULL)'],
    chains: ['shell: runs /bin/sh with ["-c","echo PWNED shell"]'],
  },
  reverse_shell: {
    traits: ['syscall', 'stack-string'],
    syscalls: [
      'socket(AF_INET, SOCK_STREAM, 0) = 3',
      'connect(3, 127.0.0.1:4444, 16) = 0',
      'dup2(3, 2) = 2',
      'dup2(3, 1) = 1',
      'dup2(3, 0) = 0',
      'execve("/bin//sh", ["/bin//sh"], NULL)',
    ],
    chains: ['reverse shell: a shell on a connection to 127.0.0.1:4444', 'shell: runs /bin/sh'],
  },
  stager: {
    traits: ['syscall', 'received-code'],
    syscalls: ['read(0, ADDRESS, 1024) = 1024'],
    chains: ['staged loader: runs what read brought in from descriptor 0'],
  },
};

function payload(name: string) {
  const length = `PWNED ${name}\n`.length;
  return {
    traits: ['syscall'],
    syscalls: [`write(1, "PWNED ${name}\\x0a", ${length}) = ${length}`],
    chains: [],
  };
}

describe.each(kernelsUnderTest().flatMap((kernel) => [1, 2].map((cpus) => ({ kernel, cpus }))))(
  'Linux $kernel, $cpus vCPU',
  ({ kernel, cpus }) => {
    let guest: Guest;
    let textBefore: string;

    beforeAll(async () => {
      guest = await bootGuest({ kernel, cpus, qemu: 'newest' });
      await installGuarded(guest);
      // The kernel changes its own text, too, when a facility such as TCP is first used.
      for (const attack of ATTACKS) await expectSuccess(guest, attack);
      textBefore = await textHash(guest);
    });
    afterAll(() => guest?.[Symbol.asyncDispose]());

    test('every attack is blocked before its first instruction', async () => {
      const times: string[] = [];
      const { end } = await guarded(guest, BLOCK, async ({ alerts }) => {
        for (const attack of ATTACKS) {
          const result = await guest.run(commandOf(attack));
          expect(result, attack.name).toMatchObject({ signal: SIGKILL });
          expect(result.output, attack.name).not.toMatch(/PWNED|HANDLED/);
          const [alert, ...more] = alerts().filter(({ process }) => process.comm === attack.name);
          expect(more, attack.name).toEqual([]);
          expect(alert, attack.name).toMatchObject({
            action: 'killed',
            policy: 'block',
            process: { uid: 0 },
          });
          expect(
            alert?.findings.map(({ check, certain }) => (certain ? check : `${check}?`)),
            attack.name,
          ).toEqual(CHECKS[attack.name]);
          const { analysis } = alert ?? {};
          times.push(
            `${attack.name} ${alert?.durationMs.toFixed(2)} (code ${analysis?.milliseconds.toFixed(2)})`,
          );
          expect(
            analysis?.traits.map(({ name }) => name),
            attack.name,
          ).toEqual(CODE[attack.name]?.traits);
          expect(
            analysis?.chains.map(({ name, text }) => `${name}: ${text}`),
            attack.name,
          ).toEqual(CODE[attack.name]?.chains);
          expect(
            analysis?.syscalls.map(({ text }) => text.replaceAll(/0x[0-9a-f]+/g, 'ADDRESS')),
            attack.name,
          ).toEqual(CODE[attack.name]?.syscalls);
          expect(alert?.code.bytes.length, attack.name).toBeGreaterThan(0);
          expect(BigInt(alert?.registers.rip ?? 0)).toBe(BigInt(alert?.address ?? 1));
        }
      });
      console.log(`milliseconds to the answer: ${times.join(', ')}`);
      expect(end.counters).toMatchObject({ killed: ATTACKS.length, alerts: ATTACKS.length, problems: 0 });
      expect(end.restored.complete).toBe(true);
    });

    test('audit reports each attack once, and it succeeds', async () => {
      const { end } = await guarded(guest, AUDIT, async ({ alerts }) => {
        for (const attack of ATTACKS) {
          const result = await guest.run(commandOf(attack));
          expect(result.output, attack.name).toContain(attack.achieves);
          expect(result.status, attack.name).toBe(attack.status);
          const reported = alerts().filter(({ process }) => process.comm === attack.name);
          expect(
            reported.map(({ action }) => action),
            attack.name,
          ).toEqual(['allowed']);
        }
      });
      expect(end.counters).toMatchObject({ killed: 0, alerts: ATTACKS.length, problems: 0 });
    });

    test('benign programs end well, and nothing is reported', async () => {
      const { end } = await guarded(guest, BLOCK, async () => {
        for (const program of BENIGN) await expectSuccess(guest, program);
      });
      expect(end.counters).toMatchObject({ killed: 0, alerts: 0, problems: 0 });
      expect(end.counters.examined).toBeGreaterThanOrEqual(200);
    });

    test.each([
      ['threads', 100],
      ['forks', 10],
      ['spawns', 5],
      ['alternate', 1],
      ['leave', 1],
      ['replace', 1, 'compile ok\n'],
    ])('a JIT with %s', async (what, cycles, output = `${what} ok\n`) => {
      const { end } = await guarded(guest, BLOCK, async () => {
        expect(await guest.run(`${GUARDED} ${what} ${cycles}`)).toEqual({ status: 0, output });
      });
      expect(end.counters).toMatchObject({ killed: 0, alerts: 0, problems: 0 });
    });

    test('a compiler runs suspicious code, which is reported, and no malicious code', async () => {
      const policy = `version: 1\nprocesses:\n  - { match: { path: '/lab/attack/*' }, action: block, allow: [jit] }\n`;
      const { end } = await guarded(guest, policy, async ({ alerts }) => {
        await expectSuccess(guest, programNamed('mprotect_rx'));
        expect(alerts()).toMatchObject([
          { action: 'allowed', findings: [{ check: 'code', certain: false }] },
        ]);
        expect(await guest.run('/lab/attack/shell')).toMatchObject({ signal: SIGKILL });
        expect(alerts()[1]).toMatchObject({
          action: 'killed',
          analysis: { verdict: 'malicious', chains: [{ name: 'shell' }] },
          findings: [{ check: 'code', certain: true }],
        });
      });
      expect(end.counters).toMatchObject({ killed: 1, alerts: 2, problems: 0 });
    });

    test('a stack pivot is blocked though the code itself is allowed', async () => {
      await guarded(guest, BLOCK, async ({ alerts }) => {
        const result = await guest.run(`${GUARDED} pivot 1`);
        expect(result).toMatchObject({ signal: SIGKILL, output: '' });
        expect(alerts()[0]?.findings).toMatchObject([{ check: 'pivot', certain: true }]);
      });
    });

    test('a process that runs already is adopted with the pages that it has', async () => {
      const attack = await startAndWait(guest, `${GUARDED} resident 100000`, 'resident runs');
      await guarded(guest, BLOCK, async ({ alerts, events }) => {
        expect(events).toContainEqual(expect.objectContaining({ type: 'process.protected', how: 'running' }));
        expect((await attack.wait()).signal).toBe(SIGKILL);
        expect(alerts()).toMatchObject([{ action: 'killed', findings: [{ check: 'writable' }] }]);
      });
    });

    test("the guest's page protections are found with and without their symbol", async () => {
      await using target = await openTarget(`qemu:${guest.qmpSocket}`);
      const [found, learned] = [findProtectionMap(target.kernel), protectionOfText(target.kernel)];
      for (const flags of [0x74, 0x75, 0x77, 0x118177]) {
        expect(learned.low(flags)).toBe(found.low(flags));
        expect(learned.high(flags, 0)).toBe(found.high(flags, 0));
      }
    });

    test('what was armed runs once the guard has gone', async () => {
      let armed: RunningCommand | undefined;
      let compiling: RunningCommand | undefined;
      const { end } = await guarded(guest, BLOCK, async ({ kernel: attached }) => {
        armed = await startAndWait(guest, `${GUARDED} armed 200`, 'armed');
        expect(protectionProblems(attached)).toHaveLength(2);
        compiling = await guest.spawn(`${GUARDED} threads 500`);
        await delay(300);
      });
      expect(end.restored).toMatchObject({ complete: true });
      expect(end.restored.vmas).toBeGreaterThan(0);
      // Stopped, no thread is in the middle of a change of its own.
      compiling?.kill(SIGSTOP);
      await delay(100);
      await expectClean(guest);
      compiling?.kill(SIGCONT);
      expect(await armed?.wait()).toMatchObject({ status: 0, output: 'armed\narmed ok\n' });
      expect(await compiling?.wait()).toMatchObject({ status: 0, output: 'threads ok\n' });
    });

    test('after the guard everything is as before, and attacks run again', async () => {
      await expectClean(guest);
      expect(await textHash(guest)).toBe(textBefore);
      for (const attack of ATTACKS) await expectSuccess(guest, attack);
      expect(guest.logProblems()).toEqual([]);
    });
  },
);

test("the machine's own QEMU", async () => {
  await using guest = await bootGuest({ kernel: '6.1', cpus: 2, qemu: 'system' });
  const { end } = await guarded(guest, BLOCK, async () => {
    for (const name of ['rwx', 'mprotect_rx'])
      expect(await guest.run(`/lab/attack/${name}`)).toMatchObject({ signal: SIGKILL });
    expect(await guest.run('/lab/benign/jit 20')).toEqual({ status: 0, output: 'jit ok 20/20\n' });
  });
  expect(end).toMatchObject({ reason: 'asked', counters: { killed: 2, alerts: 2, problems: 0 } });
  await expectClean(guest);
  expect(guest.logProblems()).toEqual([]);
});

test('a machine that goes away ends the guard', async () => {
  const guest = await bootGuest({ kernel: '6.1', qemu: 'newest' });
  const { end } = await guarded(guest, BLOCK, async ({ guard }) => {
    await guest[Symbol.asyncDispose]();
    await guard.ended;
  });
  expect(end.reason).toBe('lost');
});

async function expectSuccess(guest: Guest, program: GuestProgram): Promise<void> {
  const result = await guest.run(commandOf(program));
  expect(result.output, program.name).toContain(program.achieves);
  expect(result.status, program.name).toBe(program.status);
}

async function textHash(guest: Guest): Promise<string> {
  await using target = await openTarget(`qemu:${guest.qmpSocket}`);
  return kernelTextHash(target.kernel);
}

async function expectClean(guest: Guest): Promise<void> {
  await using target = await openTarget(`qemu:${guest.qmpSocket}`);
  expect(protectionProblems(target.kernel)).toEqual([]);
}

async function startAndWait(guest: Guest, command: string, line: string): Promise<RunningCommand> {
  const running = await guest.spawn(command);
  for (let tries = 0; !running.output().includes(line); tries++) {
    if (tries === 500) throw new Error(`${command} did not print ${line}`);
    await delay(10);
  }
  return running;
}

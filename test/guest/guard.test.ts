import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest, type RunningCommand } from '../../lab/guest.ts';
import { ATTACKS, BENIGN, commandOf, type GuestProgram } from '../../lab/programs.ts';
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
  mprotect_rx: ['written'],
  rwx: ['writable'],
  exec_stack: ['stack', 'writable'],
  late_touch: ['writable'],
  thread: ['written'],
  overflow: ['stack', 'writable'],
};

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
            alert?.findings.map(({ check }) => check),
            attack.name,
          ).toEqual(CHECKS[attack.name]);
          expect(alert?.code.bytes.length, attack.name).toBeGreaterThan(0);
          expect(BigInt(alert?.registers.rip ?? 0)).toBe(BigInt(alert?.address ?? 1));
        }
      });
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

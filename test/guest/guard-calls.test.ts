import { expect, test } from 'vitest';
import { bootGuest } from '../../lab/guest.ts';
import { BreakpointTraps } from '../../src/hooks/breakpoints/breakpoint-traps.ts';
import { KernelCalls } from '../../src/hooks/kernel-calls.ts';
import { openTarget } from '../../src/target.ts';
import { kernelsUnderTest } from '../support/kernels.ts';

test.each(kernelsUnderTest())('Linux %s runs its own functions when it is asked to', async (id) => {
  await using guest = await bootGuest({ kernel: id, cpus: 2, qemu: 'newest' });
  await using target = await openTarget(`qemu:${guest.qmpSocket}`);
  const { machine, kernel } = target;
  if (machine.live === undefined) throw new Error('not a live machine');
  const problems: unknown[] = [];
  const traps = new BreakpointTraps({
    debugger: await machine.live.debug(),
    kernel,
    memory: machine.live.memory,
    report: (where, error) => problems.push(where, error),
  });
  traps.start();
  const calls = new KernelCalls(traps, kernel);
  const busy = await guest.spawn('while :; do echo x > /dev/null; done');
  for (let round = 0; round < 5; round++) expect(await calls.call('flush_tlb_all', [], 10_000)).toBeDefined();
  // ktime_get_real_seconds() returns what `date` says.
  const seconds = Number(await calls.call('ktime_get_real_seconds', [], 10_000));
  expect(Math.abs(Number((await guest.run('date +%s')).output) - seconds)).toBeLessThanOrEqual(5);
  busy.kill();
  await traps[Symbol.asyncDispose]();
  expect(problems).toEqual([]);
  expect((await guest.run('echo alive')).output).toBe('alive\n');
  expect(guest.logProblems()).toEqual([]);
});

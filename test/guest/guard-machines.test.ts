import { expect, test } from 'vitest';
import { bootGuest, type GuestOptions } from '../../lab/guest.ts';
import { ATTACKS, BENIGN, commandOf } from '../../lab/programs.ts';
import { DEMO_POLICY } from '../../src/cli/demo/programs.ts';
import { guarded } from '../support/guarded.ts';

const SIGKILL = 9;

/** Machines that differ in what the guard depends on: how RAM is reached, paging, KPTI, vCPUs, preemption, how the kernel was configured. */
const MACHINES: readonly GuestOptions[] = [
  { kernel: '6.1', qemu: 'newest', cpus: 1, sharedMemory: false, gdb: false },
  { kernel: '6.1', qemu: 'newest', cpus: 4, cpu: 'max' },
  { kernel: '6.1', qemu: 'newest', cpus: 2, memory: 5120 },
  { kernel: '5.10', qemu: 'newest', cpus: 2, cpu: 'Nehalem' },
  { kernel: '6.12', qemu: 'newest', cpus: 2, commandLine: 'preempt=full' },
  { kernel: '7.2', qemu: 'newest', cpus: 4, cpu: 'max' },
  { kernel: '5.10-generic', qemu: 'newest', cpus: 1, memory: 512 },
  { kernel: '6.1-generic', qemu: 'newest', cpus: 2, memory: 512 },
];

test.each(MACHINES)('attacks are stopped and nothing else is harmed: %j', async (options) => {
  await using guest = await bootGuest(options);
  const { end } = await guarded(guest, DEMO_POLICY, async () => {
    for (const attack of ATTACKS) {
      const { signal, output } = await guest.run(commandOf(attack));
      expect(signal, attack.name).toBe(SIGKILL);
      expect(output, attack.name).not.toMatch(/PWNED|HANDLED/);
    }
    await Promise.all(
      BENIGN.map(async (program) => {
        expect((await guest.run(commandOf(program))).output, program.name).toContain(program.achieves);
      }),
    );
  });
  expect(end.counters).toMatchObject({ killed: ATTACKS.length, problems: 0 });
  expect(end.restored.complete).toBe(true);
  for (const attack of ATTACKS) {
    expect((await guest.run(commandOf(attack))).output, attack.name).toContain(attack.achieves);
  }
  expect(guest.logProblems()).toEqual([]);
});

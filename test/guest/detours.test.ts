import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { ATTACKS, commandOf, programNamed } from '../../lab/programs.ts';
import { CONTINUE } from '../../src/hooks/trap.ts';
import { findKernel } from '../../src/linux/find-kernel.ts';
import { attachQemu } from '../../src/machine/qemu/attach.ts';
import { gva } from '../../src/memory/address.ts';
import { DetourEngine, doorbellOptions } from '../support/detour-engine.ts';
import { changedFunctions, type KernelText, kernelText } from '../support/kernel-text.ts';

const SIGKILL = 9;

/** The kernel's text, by an attachment of its own. */
async function readText(guest: Guest): Promise<KernelText> {
  await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
  const vcpus = await machine.live?.readVcpus();
  return kernelText(findKernel(machine.memory, vcpus === undefined ? {} : { vcpus }));
}

describe.each([
  { kernel: '5.10', cpus: 1, transport: 'doorbell' },
  { kernel: '6.1', cpus: 2, transport: 'doorbell' },
  { kernel: '6.1', cpus: 1, transport: 'poll' },
  { kernel: '6.12', cpus: 2, transport: 'doorbell' },
  { kernel: '7.2', cpus: 1, transport: 'doorbell' },
] as const)('detours: Linux $kernel, $cpus vCPU, $transport', ({ kernel, cpus, transport }) => {
  let guest: Guest;
  let folder: string;
  let textBefore: KernelText;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'underwatch-test-'));
    const qemuArgs = transport === 'doorbell' ? doorbellOptions(join(folder, 'bell.sock')) : [];
    guest = await bootGuest({ kernel, cpus, qemuArgs });
    // The kernel changes its own text, too, when a facility such as TCP is first used.
    for (const attack of ATTACKS) await guest.run(commandOf(attack));
    textBefore = await readText(guest);
  });
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs an engine for a while; afterwards text and journal are as before. */
  async function engine(work: (engine: DetourEngine) => Promise<void>): Promise<void> {
    const problems: unknown[] = [];
    const report = (where: string, error: unknown) => problems.push([where, error]);
    const running = await DetourEngine.attach(`qemu:${guest.qmpSocket}`, join(folder, 'journal'), { report });
    try {
      expect(running.traps.transport).toBe(transport);
      await work(running);
    } finally {
      await running[Symbol.asyncDispose]();
    }
    expect(await running.traps.ended).toEqual({ reason: 'closed' });
    expect(problems).toEqual([]);
    expect(await readdir(join(folder, 'journal'))).toEqual([]);
    expect((await guest.run('echo alive')).output).toBe('alive\n');
    expect(guest.logProblems()).toEqual([]);
    expect(changedFunctions(textBefore, await readText(guest))).toEqual([]);
  }

  test('every arrival is seen once, with its arguments', async () => {
    await engine(async (running) => {
      const started: string[] = [];
      await running.traps.add(running.site('finalize_exec'), ({ registers }) => {
        started.push(running.task(registers).comm);
        expect(registers.get('rdi')).toBeGreaterThan(1n << 63n);
        return CONTINUE;
      });
      running.traps.start();
      await guest.run('for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done');
      expect(started.filter((comm) => comm === 'true')).toHaveLength(10);
      expect(running.traps.counters).toEqual({ timeouts: 0, dropped: 0, released: 0 });
      const [cost] = running.traps.costs;
      expect(cost).toMatchObject({ symbol: 'finalize_exec', requests: running.traps.answered });
      expect(cost?.ticks).toBeGreaterThan(0n);
    });
  });

  test('only protected address spaces arrive, and forked children of theirs that are added', async () => {
    await engine(async (running) => {
      const seen = new Set<string>();
      await running.protect({ loop: 'allow' });
      await running.traps.add(running.site('userfaultfd_unmap_complete'), ({ registers }) => {
        seen.add(running.task(registers).comm);
        return CONTINUE;
      });
      running.traps.start();
      await guest.run('/lab/benign/loop 2 10; for i in 1 2 3; do /bin/true; done; /lab/benign/loop 2 10');
      expect([...seen]).toEqual(['loop']);
      expect(running.traps.addressSpaces.count).toBe(0);
    });
  });

  test('a kernel function is called in the context of the arrival', async () => {
    await engine(async (running) => {
      const { symbols, layout } = running.kernel;
      const results: bigint[] = [];
      const comms: bigint[] = [];
      await running.traps.add(running.site('finalize_exec'), ({ registers }) => {
        const task = running.task(registers);
        const comm = gva(task.address + BigInt(layout.task_struct.comm));
        comms.push(BigInt(task.comm.length));
        return {
          kind: 'call',
          function: symbols.require('strlen'),
          arguments: [comm],
          afterwards: (length, trap) => {
            expect(trap.registers.get('rdi')).toBe(registers.get('rdi'));
            results.push(length);
            return CONTINUE;
          },
        };
      });
      running.traps.start();
      await guest.run('for i in 1 2 3; do /bin/true; done');
      expect(results.length).toBeGreaterThanOrEqual(3);
      expect(results).toEqual(comms);
    });
  });

  test('attacks are killed before their first instruction, a JIT runs on', async () => {
    const victims = Object.fromEntries(ATTACKS.map(({ name }) => [name, 'kill' as const]));
    await engine(async (running) => {
      await running.protect({ ...victims, jit: 'allow' });
      running.traps.start();
      for (const attack of ATTACKS) {
        const result = await guest.run(commandOf(attack));
        expect(result, attack.name).toMatchObject({ signal: SIGKILL });
        expect(result.output, attack.name).not.toMatch(/PWNED|HANDLED/);
      }
      const jit = programNamed('jit');
      expect(await guest.run(commandOf(jit))).toMatchObject({ status: 0 });
      expect(running.traps.addressSpaces.count).toBe(0);
      expect(running.traps.counters).toEqual({ timeouts: 0, dropped: 0, released: 0 });
    });
  });
});

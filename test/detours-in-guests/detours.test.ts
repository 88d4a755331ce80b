import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { ATTACKS, BENIGN, commandOf, programNamed } from '../../lab/programs.ts';
import type { Hook } from '../../src/hooks/detours/hook.ts';
import { Journal } from '../../src/hooks/journal/journal.ts';
import { openTraps } from '../../src/hooks/open-traps.ts';
import { CONTINUE } from '../../src/hooks/trap.ts';
import { findKernel } from '../../src/linux/find-kernel.ts';
import { attachQemu } from '../../src/machine/qemu/attach.ts';
import { gva } from '../../src/memory/address.ts';
import { DetourEngine, doorbellOptions } from '../support/detour-engine.ts';
import { changedFunctions, type KernelText, kernelText } from '../support/kernel-text.ts';

const SIGKILL = 9;

const EVERY_ARRIVAL: Hook = { does: { kind: 'ask' }, addressSpace: { kind: 'any' }, tests: [] };

/** Traces exit_mmap by both means while programs end, and says how often each was hit. */
const TRACE = `mkdir -p /tmp/tracing; mount -t tracefs tracefs /tmp/tracing; cd /tmp/tracing
echo exit_mmap > set_ftrace_filter; echo function > current_tracer
for i in 1 2 3 4 5; do /bin/true; done
echo function $(grep -c exit_mmap trace); echo nop > current_tracer; echo > trace
echo p:own exit_mmap > kprobe_events; echo 1 > events/kprobes/own/enable
for i in 1 2 3 4 5; do /bin/true; done
echo kprobe $(grep -c own trace); echo 0 > events/kprobes/own/enable; echo > kprobe_events
cd /; umount /tmp/tracing`;

/** The kernel's text, by an attachment of its own. */
async function readText(guest: Guest): Promise<KernelText> {
  await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
  const vcpus = await machine.live?.readVcpus();
  return kernelText(findKernel(machine.memory, vcpus === undefined ? {} : { vcpus }));
}

describe.each([
  { kernel: '5.10', cpus: 1, transport: 'doorbell', commandLine: '' },
  { kernel: '6.1', cpus: 2, transport: 'doorbell', commandLine: '' },
  { kernel: '6.1', cpus: 1, transport: 'poll', commandLine: '' },
  { kernel: '6.12', cpus: 2, transport: 'doorbell', commandLine: 'preempt=full' },
  { kernel: '7.2', cpus: 1, transport: 'doorbell', commandLine: '' },
])(
  'detours: Linux $kernel, $cpus vCPU, $transport $commandLine',
  ({ kernel, cpus, transport, commandLine }) => {
    let guest: Guest;
    let folder: string;
    let textBefore: KernelText;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'underwatch-test-'));
      const qemuArgs = transport === 'doorbell' ? doorbellOptions(join(folder, 'bell.sock')) : [];
      guest = await bootGuest({ kernel, cpus, qemuArgs, commandLine });
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
      const running = await DetourEngine.attach(`qemu:${guest.qmpSocket}`, join(folder, 'journal'), {
        report,
      });
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
        expect(running.traps.counters).toEqual({ timeouts: 0, dropped: 0, released: 0 });
        expect(started.filter((comm) => comm === 'true')).toHaveLength(10);
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

    test('a program that does not matter is not asked about at each exec', async () => {
      await engine(async (running) => {
        const started: string[] = [];
        await running.traps.add(running.site('setup_new_exec'), ({ registers }) => {
          const { comm } = running.task(registers);
          started.push(comm);
          return comm === 'loop' ? CONTINUE : { kind: 'ignore' };
        });
        running.traps.start();
        await guest.run('for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; /lab/benign/loop 1 1; done');
        expect(started.filter((comm) => comm === 'loop')).toHaveLength(10);
        expect(started.filter((comm) => comm === 'true').length).toBeLessThan(8);
        await guest.run('cp /lab/benign/loop /tmp/one; /tmp/one 1 1; mv /tmp/one /tmp/two; /tmp/two 1 1');
        expect(started.slice(-1)).toEqual(['two']);
      });
    });

    test.runIf(transport === 'poll')(
      'a doorbell that there is not is refused; breakpoints can be had',
      async () => {
        await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
        const { live } = machine;
        if (live === undefined) throw new TypeError('the machine does not run');
        const found = findKernel(machine.memory, { vcpus: await live.readVcpus() });
        const options = {
          machine: machine.name,
          live,
          kernel: found,
          journalFolder: join(folder, 'journal'),
        };
        const report = () => {};
        await expect(openTraps({ ...options, report, transport: 'doorbell' })).rejects.toThrow(
          /-device isa-debugcon/,
        );
        expect((await guest.run('echo alive')).output).toBe('alive\n');
        await using opened = await openTraps({ ...options, report, transport: 'breakpoint' });
        expect(opened.traps.transport).toBe('breakpoint');
        opened.traps.start();
        expect((await guest.run('echo alive')).output).toBe('alive\n');
      },
    );

    test('the journal of another boot is set aside', async () => {
      const journal = new Journal(join(folder, 'journal'), `qemu:${guest.qmpSocket}`);
      const guestBefore = { banner: 'Linux', textBase: '0x1', directMap: '0x2', init: '0x3' };
      const patch = { symbol: 'exit_mmap', address: '0xffffffff81200005', original: '90', patched: 'cc' };
      const gap = { start: '0xffffffff81a1a000', size: 4096 };
      await journal.write({
        version: 1,
        machine: 'before',
        guest: guestBefore,
        gap,
        mailbox: null,
        patches: [patch],
      });
      const running = await DetourEngine.attach(`qemu:${guest.qmpSocket}`, join(folder, 'journal'));
      await running[Symbol.asyncDispose]();
      expect(running.recovered).toBe('set-aside');
      const [kept = ''] = await readdir(join(folder, 'journal'));
      await rm(join(folder, 'journal', kept));
      expect(changedFunctions(textBefore, await readText(guest))).toEqual([]);
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

    test('a detour that somebody in the guest undoes is reported, and leaving is no problem', async () => {
      const problems: string[] = [];
      const report = (where: string) => problems.push(where);
      const running = await DetourEngine.attach(`qemu:${guest.qmpSocket}`, join(folder, 'journal'), {
        report,
      });
      const entry = running.kernel.memory.locateAddress(running.kernel.symbols.require('finalize_exec'));
      const original = new Uint8Array(16);
      running.kernel.memory.physical.read(entry, original);
      await running.traps.add(running.site('finalize_exec'), () => CONTINUE);
      running.traps.start();
      running.writePhysical(entry, original);
      await delay(1500);
      await running[Symbol.asyncDispose]();
      expect(problems).toEqual(['finalize_exec']);
      expect(await running.traps.ended).toEqual({ reason: 'closed' });
      expect(changedFunctions(textBefore, await readText(guest))).toEqual([]);
    });

    test('detours that re-arm never ask, and harm nobody', async () => {
      await engine(async (running) => {
        await running.protect({ jit: 'allow' });
        for (const symbol of ['ptep_set_access_flags', 'pmdp_set_access_flags'])
          await running.traps.add(running.site(symbol), () => CONTINUE);
        running.traps.start();
        for (const program of BENIGN) {
          const result = await guest.run(commandOf(program));
          expect(result, program.name).toMatchObject({ status: program.status });
          expect(result.output, program.name).toContain(program.achieves);
        }
        const asked = running.traps.costs.filter(({ requests }) => requests > 0).map(({ symbol }) => symbol);
        expect(asked).toContain('vma_set_page_prot');
        expect(asked).not.toContain('ptep_set_access_flags');
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

    test("the guest's own ftrace and kprobes work on functions that have detours", async () => {
      const running = await DetourEngine.attach(`qemu:${guest.qmpSocket}`, join(folder, 'journal'));
      let arrived = 0;
      const count = () => {
        arrived++;
        return CONTINUE;
      };
      const site = { ...running.site('exit_mmap'), hook: EVERY_ARRIVAL };
      await running.traps.add(site, count);
      running.traps.start();
      const traced = await guest.run(TRACE, { timeout: 30_000 });
      const seen = arrived;
      await running[Symbol.asyncDispose]();
      expect(traced.output).toMatch(/^function [1-9]\d*\nkprobe [1-9]\d*\n$/);
      expect(seen).toBeGreaterThan(10);
      expect(changedFunctions(textBefore, await readText(guest))).not.toContain('exit_mmap');
      expect(guest.logProblems()).toEqual([]);
    });
  },
);

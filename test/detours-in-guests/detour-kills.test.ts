import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { commandOf, programNamed } from '../../lab/programs.ts';
import { findKernel } from '../../src/linux/find-kernel.ts';
import { attachQemu } from '../../src/machine/qemu/attach.ts';
import { doorbellOptions } from '../support/detour-engine.ts';
import { changedFunctions, type KernelText, kernelText } from '../support/kernel-text.ts';
import { KillableEngine } from '../support/killable-engine.ts';

const KILLS = Number(process.env.UNDERWATCH_KILLS ?? 4);
const SEED = Number(process.env.UNDERWATCH_SEED ?? 1);
/** The longest time from the engine's start to its death, in milliseconds: from before it attaches to well into serving. */
const LONGEST_LIFE = 3000;
const SIGKILL = 9;

/** Two processes that compile without end, and stop with a line that says how often that went well. */
const LOAD =
  'for worker in 1 2; do (ok=0; bad=0; while [ ! -e /tmp/enough ]; do ' +
  'if /lab/benign/jit 20 >/dev/null; then ok=$((ok+1)); else bad=$((bad+1)); fi; done; ' +
  'echo "ok $ok bad $bad") & done; wait; rm -f /tmp/enough';

describe.each([
  { kernel: '6.1', cpus: 2, commandLine: '' },
  { kernel: '6.12', cpus: 2, commandLine: 'preempt=full' },
  { kernel: '7.2', cpus: 2, commandLine: '' },
])('an engine that dies: Linux $kernel, $cpus vCPUs $commandLine', ({ kernel, cpus, commandLine }) => {
  let guest: Guest;
  let folder: string;
  let textBefore: KernelText;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'underwatch-test-'));
    guest = await bootGuest({
      kernel,
      cpus,
      commandLine,
      qemuArgs: doorbellOptions(join(folder, 'bell.sock')),
    });
    await guest.run(commandOf(programNamed('jit')));
    textBefore = await readText();
  });
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  function engine(): KillableEngine {
    const programs = { jit: 'allow', rwx: 'kill' } as const;
    return new KillableEngine(`qemu:${guest.qmpSocket}`, join(folder, 'journal'), programs);
  }

  async function readText(): Promise<KernelText> {
    await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
    const vcpus = await machine.live?.readVcpus();
    return kernelText(findKernel(machine.memory, vcpus === undefined ? {} : { vcpus }));
  }

  test('the guest is let run when its engine dies while it is paused', async () => {
    const victim = engine();
    await victim.says('serving');
    await victim.pause();
    const waiting = guest.run('echo alive', { timeout: 10_000 });
    expect(await Promise.race([waiting, delay(500)])).toBeUndefined();
    await victim.kill();
    expect(await waiting).toMatchObject({ output: 'alive\n' });
    const next = engine();
    expect(await next.says('attached')).toBe('attached restored');
    await next.says('serving');
    await next.stop();
    expect(changedFunctions(textBefore, await readText())).toEqual([]);
  });

  test(`${KILLS} kills at random moments under load harm nobody`, { timeout: 600_000 }, async () => {
    const random = randomNumbers(SEED);
    const load = await guest.spawn(LOAD);
    const outcomes: string[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const victim = engine();
      await delay(random() * LONGEST_LIFE);
      await victim.kill();
      outcomes.push(victim.said('serving') ?? victim.said('attached') ?? 'starting');
      expect(await guest.run('echo alive', { timeout: 10_000 }), `kill ${kill}`).toMatchObject({
        output: 'alive\n',
      });
    }
    const survivor = engine();
    await survivor.says('serving');
    expect(await guest.run('/lab/attack/rwx')).toMatchObject({ signal: SIGKILL });
    await guest.run('touch /tmp/enough');
    const { output } = await load.wait();
    const { answered } = await survivor.stop();
    console.log(
      `${kernel}: killed while ${outcomes.join(', ')}; ${output.replaceAll('\n', '; ')} ${answered} answered`,
    );
    expect(output).toMatch(/^(ok [1-9]\d* bad 0\n){2}$/);
    expect(await readdir(join(folder, 'journal'))).toEqual([]);
    expect(changedFunctions(textBefore, await readText())).toEqual([]);
    expect(guest.logProblems()).toEqual([]);
  });
});

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

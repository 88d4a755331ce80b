import { describe, expect, test } from 'vitest';
import { TargetLostError } from '../../src/errors.ts';
import { CONTINUE, KILL, RETURN, type Trap, type TrapAnswer } from '../../src/hooks/trap.ts';
import type { MockAction } from '../../src/machine/mock/mock-debugger.ts';
import {
  FUNCTIONS,
  hookedMachine,
  physical,
  RETURN_ADDRESS,
  settled,
  site,
  stackOf,
} from './hooked-machine.ts';

function resumptions(actions: readonly MockAction[]) {
  return actions.filter((action) => action.kind === 'resume').slice(1);
}

/** Arrives once at a function with the given answer, and says how the machine was resumed. */
async function answered(answer: TrapAnswer, at: keyof typeof FUNCTIONS = 'first') {
  const hooked = await hookedMachine();
  await hooked.traps.add(site(at), () => answer);
  hooked.traps.start();
  const rsp = stackOf(hooked.machine, 0);
  hooked.debugger.script({ registers: { rip: FUNCTIONS[at], rsp, rdi: 5n } });
  await settled();
  return { ...hooked, rsp, resumed: resumptions(hooked.debugger.actions)[0] };
}

describe('BreakpointTraps', () => {
  test('continue: behind the NOP, with everything else as it was', async () => {
    const { resumed, traps } = await answered(CONTINUE);
    expect(resumed).toEqual({ kind: 'resume', vcpu: 1, changes: { rip: FUNCTIONS.first + 5n } });
    expect(traps.answered).toBe(1);
  });

  test('continue in a function without a NOP: one step', async () => {
    const { resumed, machine } = await answered(CONTINUE, 'plain');
    expect(resumed).toEqual({ kind: 'resume', changes: {} });
    expect(machine.registers[0]?.get('rip')).toBe(FUNCTIONS.plain + 1n);
  });

  test('continue where the guest has put a call in the place of the NOP: one step', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine();
    await traps.add(site('first'), () => CONTINUE);
    machine.memory.write(physical(FUNCTIONS.first), Uint8Array.from([0xe8, 1, 2, 3, 4]));
    traps.start();
    debug.script({ registers: { rip: FUNCTIONS.first } });
    await settled();
    expect(machine.registers[0]?.get('rip')).toBe(FUNCTIONS.first + 1n);
  });

  test('return: to the caller, with a value if there is one', async () => {
    const { resumed, rsp } = await answered(RETURN);
    expect(resumed).toMatchObject({ changes: { rip: RETURN_ADDRESS, rsp: rsp + 8n } });
    expect((await answered({ kind: 'return', value: 7n })).resumed).toMatchObject({ changes: { rax: 7n } });
  });

  test("kill: into the kernel's force_sig with SIGKILL, as if its caller had called that", async () => {
    const { resumed } = await answered(KILL);
    expect(resumed).toEqual({ kind: 'resume', vcpu: 1, changes: { rdi: 9n, rip: FUNCTIONS.force_sig } });
  });

  test('a handler that throws is reported, and the function runs', async () => {
    const { debugger: debug, traps, problems } = await hookedMachine();
    await traps.add(site('first'), () => {
      throw new Error('broken handler');
    });
    traps.start();
    debug.script({ registers: { rip: FUNCTIONS.first } });
    await settled();
    expect(problems).toEqual(['the trap on first: broken handler']);
    expect(resumptions(debug.actions)[0]).toMatchObject({ changes: { rip: FUNCTIONS.first + 5n } });
  });

  test('an answer that the guest does not allow is reported, and the function runs', async () => {
    const { debugger: debug, traps, problems } = await hookedMachine();
    await traps.add(site('first'), () => RETURN);
    traps.start();
    debug.script({ registers: { rip: FUNCTIONS.first, rsp: 0xffff_8000_0000_0000n } });
    await settled();
    expect(problems).toHaveLength(1);
    expect(resumptions(debug.actions)[0]).toMatchObject({ changes: { rip: FUNCTIONS.first + 5n } });
  });

  test('several vCPUs arrive one after another, each answered on its own', async () => {
    const { debugger: debug, traps } = await hookedMachine({ vcpus: 2 });
    const seen: [number, string][] = [];
    for (const name of ['first', 'second'] as const)
      await traps.add(site(name), (trap) => {
        seen.push([trap.vcpu, trap.site.symbol]);
        return CONTINUE;
      });
    traps.start();
    debug.script({ vcpu: 2, registers: { rip: FUNCTIONS.first } });
    debug.script({ vcpu: 1, registers: { rip: FUNCTIONS.first } });
    debug.script({ vcpu: 2, registers: { rip: FUNCTIONS.second } });
    await settled();
    expect(seen).toEqual([
      [2, 'first'],
      [1, 'first'],
      [2, 'second'],
    ]);
    expect(resumptions(debug.actions).map((action) => action.kind === 'resume' && action.vcpu)).toEqual([
      2, 1, 2,
    ]);
  });

  test("somebody else's breakpoint is reported and stepped over", async () => {
    const { machine, debugger: debug, traps, problems } = await hookedMachine();
    await debug.insertBreakpoint(FUNCTIONS.plain);
    traps.start();
    debug.script({ registers: { rip: FUNCTIONS.plain } });
    await settled();
    expect(problems[0]).toContain('0xffffffff80001200');
    expect(machine.registers[0]?.get('rip')).toBe(FUNCTIONS.plain + 1n);
    expect(debug.running).toBe(true);
  });

  test('one site cannot be taken twice, and is free again once removed', async () => {
    const { debugger: debug, traps } = await hookedMachine();
    await traps.add(site('first'), () => CONTINUE);
    await expect(traps.add(site('first'), () => CONTINUE)).rejects.toThrow('a trap on first already');
    await traps.remove(site('first'));
    expect(debug.breakpoints.size).toBe(0);
    await traps.add(site('first'), () => CONTINUE);
    expect(debug.breakpoints.size).toBe(1);
  });
});

describe('a called kernel function', () => {
  /** Calls flush_tlb_all(1, 2) from `first`, then answers as told. */
  function caller(afterwards: TrapAnswer, results: bigint[] = [], traps: Trap[] = []): () => TrapAnswer {
    return () => ({
      kind: 'call',
      function: FUNCTIONS.flush_tlb_all,
      arguments: [1n, 2n],
      afterwards: (result, trap) => {
        results.push(result);
        traps.push(trap);
        return afterwards;
      },
    });
  }

  test('runs on the stack of the trap and returns onto the breakpoint; then everything is put back', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine({ vcpus: 2 });
    const results: bigint[] = [];
    const seen: Trap[] = [];
    await traps.add(site('first'), caller(CONTINUE, results, seen));
    traps.start();
    const rsp = stackOf(machine, 0);
    debug.script({ vcpu: 1, registers: { rip: FUNCTIONS.first, rsp, rdi: 77n, rax: 3n, gs_base: 100n } });
    await settled();
    expect(resumptions(debug.actions)[0]).toMatchObject({
      vcpu: 1,
      changes: { rip: FUNCTIONS.flush_tlb_all, rsp: rsp - 16n, rdi: 1n, rsi: 2n },
    });
    expect(machine.memory.u32(physical(rsp - 16n))).toBe(Number(FUNCTIONS.first & 0xffff_ffffn));
    expect(traps.answered).toBe(0);
    const after = { rip: FUNCTIONS.first, rsp: rsp - 8n, rax: 99n, rdi: 0n, r11: 5n, gs_base: 200n };
    debug.script({ vcpu: 2, registers: after });
    await settled();
    expect(results).toEqual([99n]);
    expect(seen[0]?.vcpu).toBe(2);
    expect(seen[0]?.registers.get('rdi')).toBe(77n);
    expect(seen[0]?.registers.get('gs_base')).toBe(200n);
    expect(resumptions(debug.actions)[1]).toMatchObject({
      vcpu: 2,
      changes: { rip: FUNCTIONS.first + 5n, rsp, rdi: 77n, rax: 3n, r11: 0n },
    });
    expect(traps.answered).toBe(1);
  });

  test('several in flight are told apart by their stacks', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine({ vcpus: 2 });
    const seen: Trap[] = [];
    await traps.add(site('first'), caller(RETURN, [], seen));
    traps.start();
    const stacks = [stackOf(machine, 0), stackOf(machine, 1)];
    for (const [index, rsp] of stacks.entries())
      debug.script({ vcpu: index + 1, registers: { rip: FUNCTIONS.first, rsp, rbx: BigInt(index) } });
    await settled();
    for (const index of [1, 0]) {
      const rsp = (stacks[index] ?? 0n) - 8n;
      debug.script({ vcpu: 1, registers: { rip: FUNCTIONS.first, rsp } });
    }
    await settled();
    expect(seen.map((trap) => trap.registers.get('rsp'))).toEqual(stacks.reverse());
  });

  test('keeps its breakpoint until it has returned', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine();
    await traps.add(site('first'), caller(CONTINUE));
    traps.start();
    const rsp = stackOf(machine, 0);
    debug.script({ registers: { rip: FUNCTIONS.first, rsp } });
    await settled();
    expect(await traps.closeWhen(() => true)).toBe(false);
    const closed = traps[Symbol.asyncDispose]();
    await settled();
    expect(debug.breakpoints.size).toBe(1);
    debug.script({ registers: { rip: FUNCTIONS.first, rsp: rsp - 8n } });
    await closed;
    expect(debug.breakpoints.size).toBe(0);
  });
});

describe('stopping', () => {
  test('work runs while the machine stands still, in order, and the machine goes on', async () => {
    const { debugger: debug, traps } = await hookedMachine();
    traps.start();
    const running: boolean[] = [];
    const look = () => running.push(debug.running);
    expect(await Promise.all([traps.whileStopped(look), traps.whileStopped(look)])).toEqual([1, 2]);
    await settled();
    expect(running).toEqual([false, false]);
    expect(debug.running).toBe(true);
  });

  test('work that fails tells who asked, and nobody else', async () => {
    const { debugger: debug, traps, problems } = await hookedMachine();
    traps.start();
    const failing = traps.whileStopped(() => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    await settled();
    expect(problems).toEqual([]);
    expect(debug.running).toBe(true);
  });

  test('closing takes every breakpoint away, applies the last answer and leaves the machine running', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine();
    const rsp = stackOf(machine, 0);
    let closed: Promise<unknown> = Promise.resolve();
    await traps.add(site('first'), () => {
      closed = Promise.resolve(traps[Symbol.asyncDispose]());
      return RETURN;
    });
    await traps.add(site('second'), () => CONTINUE);
    traps.start();
    debug.script({ registers: { rip: FUNCTIONS.first, rsp } });
    await settled();
    await closed;
    expect(await traps.ended).toEqual({ reason: 'closed' });
    expect(debug.breakpoints.size).toBe(0);
    expect(machine.running).toBe(true);
    expect(machine.registers[0]?.get('rip')).toBe(RETURN_ADDRESS);
  });

  test('closing before the start does the same', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine();
    await traps.add(site('first'), () => CONTINUE);
    await traps[Symbol.asyncDispose]();
    await traps[Symbol.asyncDispose]();
    expect(await traps.ended).toEqual({ reason: 'closed' });
    expect(debug.actions.at(-1)).toEqual({ kind: 'dispose' });
    expect(machine.running).toBe(true);
  });

  test('closes at the very stop at which all is ready', async () => {
    const { debugger: debug, traps } = await hookedMachine();
    await traps.add(site('first'), () => CONTINUE);
    traps.start();
    expect(await traps.closeWhen(() => false)).toBe(false);
    await settled();
    expect(debug.running).toBe(true);
    expect(debug.breakpoints.size).toBe(1);
    const resumed = debug.actions.filter((action) => action.kind === 'resume').length;
    expect(await traps.closeWhen(() => true)).toBe(true);
    expect(await traps.ended).toEqual({ reason: 'closed' });
    expect(debug.actions.filter((action) => action.kind === 'resume')).toHaveLength(resumed);
  });

  test('a machine that goes away ends the traps, and all who wait', async () => {
    const { machine, traps } = await hookedMachine();
    await traps.add(site('first'), () => CONTINUE);
    traps.start();
    await settled();
    machine.lose();
    expect(await traps.ended).toEqual({ reason: 'lost' });
    await expect(traps.whileStopped(() => 1)).rejects.toThrow(TargetLostError);
    await traps[Symbol.asyncDispose]();
  });

  test('a debugger that fails ends the traps with its error, and is disposed of', async () => {
    const { machine, debugger: debug, traps } = await hookedMachine();
    traps.start();
    await settled();
    const broken = new Error('protocol');
    debug.nextStop = () => Promise.reject(broken);
    await traps.whileStopped(() => undefined);
    expect(await traps.ended).toEqual({ reason: 'failed', error: broken });
    expect(machine.running).toBe(true);
  });
});

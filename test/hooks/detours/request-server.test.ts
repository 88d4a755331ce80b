import { beforeEach, describe, expect, test } from 'vitest';
import type { DetourAnswer } from '../../../src/hooks/detours/answers.ts';
import { Mailbox } from '../../../src/hooks/detours/mailbox.ts';
import { Action, SLOT_COUNT, Slot } from '../../../src/hooks/detours/mailbox-layout.ts';
import { RequestServer } from '../../../src/hooks/detours/request-server.ts';
import { CONTINUE, KILL, RETURN, type Trap } from '../../../src/hooks/trap.ts';
import { gva } from '../../../src/memory/address.ts';
import { ArrayMemory } from '../../support/array-memory.ts';
import { KernelInArray } from './kernel-in-array.ts';

const BOX = 0x1000;
const STUB = 3;
const TASK = 0xffff_8880_0300_0000n;

let memory: ArrayMemory;
let mailbox: Mailbox;
let problems: string[];
let traps: Trap[];
let ignored: bigint[];

beforeEach(() => {
  memory = new ArrayMemory(0x4000);
  mailbox = new Mailbox(memory, BOX);
  problems = [];
  traps = [];
  ignored = [];
});

function slotAt(slot: number): number {
  return BOX + 0x1000 + 0x100 * slot;
}

/** What a stub writes when it asks. */
function ask(
  slot: number,
  sequence: number,
  more: { stub?: number; calls?: number; task?: bigint; cpu?: number } = {},
): void {
  const at = slotAt(slot);
  memory.setU64(at + Slot.state, (BigInt(sequence) << 32n) | 2n);
  memory.setU64(at + Slot.stub, (BigInt(more.calls ?? 0) << 32n) | BigInt(more.stub ?? STUB));
  memory.setU64(at + Slot.task, more.task ?? TASK);
  memory.setU64(at + Slot.cpu, BigInt(more.cpu ?? 1));
  memory.setU64(at + Slot.arguments, 0x1234n);
}

/** The sequence number and the action of the verdict in a slot. */
function verdict(slot: number): [number, number] {
  const value = memory.u32(slotAt(slot) + Slot.verdict);
  return [value >>> 4, value & 15];
}

function serverWith(answer: (trap: Trap) => DetourAnswer): RequestServer {
  const kernel = new KernelInArray();
  kernel.place('__per_cpu_offset', 0x100, '0000000000000000 00002000 8088ffff');
  const site = { symbol: 'function', address: gva(0xffff_ffff_8100_1000n) };
  const handler = (trap: Trap) => {
    traps.push(trap);
    return answer(trap);
  };
  const siteOf = (stub: number) => (stub === STUB ? { site, handler } : undefined);
  const report = (where: string, error: unknown) => problems.push(`${where}: ${(error as Error).message}`);
  return new RequestServer(kernel, mailbox, siteOf, (key) => ignored.push(key), report);
}

describe('a request', () => {
  test.each([
    ['continue', CONTINUE, Action.goOn],
    ['return', RETURN, Action.return],
    ['kill', KILL, Action.kill],
  ])('is answered once: %s', (_what, answer, action) => {
    const server = serverWith(() => answer);
    ask(5, 77);
    expect(server.serve()).toBe(1);
    expect(verdict(5)).toEqual([77, action]);
    expect(server.serve()).toBe(0);
    expect(server.answered).toBe(1);
    expect(traps[0]?.vcpu).toBe(2);
    expect(traps[0]?.registers.get('rdi')).toBe(0x1234n);
    expect(traps[0]?.registers.get('gs_base')).toBe(0xffff_8880_0020_0000n);
  });

  test('returns a value', () => {
    const server = serverWith(() => ({ kind: 'return', value: -22n }));
    ask(0, 1);
    server.serve();
    expect(memory.u64(slotAt(0) + Slot.value)).toBe(0xffff_ffff_ffff_ffean);
  });

  test('about a program that does not matter goes on, and is not made again', () => {
    const server = serverWith(() => ({ kind: 'ignore' }));
    ask(0, 1);
    memory.setU64(slotAt(0) + Slot.key, 1n << 63n);
    server.serve();
    expect(verdict(0)).toEqual([1, Action.goOn]);
    expect(ignored).toEqual([1n << 63n]);
  });

  test('in every slot is answered in one round', () => {
    const server = serverWith(() => CONTINUE);
    for (let slot = 0; slot < SLOT_COUNT; slot++) ask(slot, slot + 1);
    expect(server.serve()).toBe(SLOT_COUNT);
    for (let slot = 0; slot < SLOT_COUNT; slot++) expect(verdict(slot)[0]).toBe(slot + 1);
  });

  test('of a handler that fails goes on, and is reported', () => {
    const server = serverWith(() => {
      throw new Error('broken');
    });
    ask(0, 9);
    server.serve();
    expect(verdict(0)).toEqual([9, Action.goOn]);
    expect(problems).toEqual(['the trap on function: broken']);
  });
});

describe('a call', () => {
  const call = (afterwards: (result: bigint, trap: Trap) => DetourAnswer): DetourAnswer => ({
    kind: 'call',
    function: gva(0xffff_ffff_8100_2000n),
    arguments: [1n, 2n, 3n],
    afterwards: afterwards as never,
  });

  test('comes back to who asked for it', () => {
    const results: bigint[] = [];
    const server = serverWith(() =>
      call((result, trap) => {
        results.push(result, trap.registers.get('rdi'));
        return KILL;
      }),
    );
    ask(2, 10);
    server.serve();
    expect(verdict(2)).toEqual([10, Action.call]);
    expect(memory.u64(slotAt(2) + Slot.function)).toBe(0xffff_ffff_8100_2000n);
    expect([0, 1, 2].map((index) => memory.u64(slotAt(2) + Slot.callArguments + 8 * index))).toEqual([
      1n,
      2n,
      3n,
    ]);
    expect(server.hasCalls).toBe(true);
    expect(server.answered).toBe(0);
    memory.setU64(slotAt(2) + Slot.result, 42n);
    ask(2, 11, { calls: 1 });
    server.serve();
    expect(results).toEqual([42n, 0x1234n]);
    expect(verdict(2)).toEqual([11, Action.kill]);
    expect(server.hasCalls).toBe(false);
  });

  test('whose task has gone is forgotten', () => {
    const server = serverWith(() => call(() => CONTINUE));
    ask(2, 10);
    server.serve();
    memory.setU64(slotAt(2) + Slot.state, 0n);
    expect(server.hasCalls).toBe(false);
  });

  test('after call comes to an end', () => {
    const again = (): DetourAnswer => call(again);
    const server = serverWith(again);
    for (let calls = 0; calls <= 64; calls++) {
      ask(0, calls + 1, { calls });
      server.serve();
    }
    expect(verdict(0)).toEqual([65, Action.goOn]);
    expect(problems.at(-1)).toMatch(/more than 64 calls/);
  });

  test('with seven arguments is refused', () => {
    const server = serverWith(
      () => ({ ...call(() => CONTINUE), arguments: Array(7).fill(0n) }) as DetourAnswer,
    );
    ask(0, 1);
    server.serve();
    expect(verdict(0)).toEqual([1, Action.goOn]);
  });
});

describe('an exchange', () => {
  const exchange = { kind: 'exchange', address: gva(0x7000n), expected: 5n, value: 6n } as const;

  test('leaves the function out', () => {
    const server = serverWith(() => exchange);
    ask(0, 1);
    server.serve();
    expect(verdict(0)).toEqual([1, Action.exchangeAndReturn]);
    expect([0, 1, 2].map((index) => memory.u64(slotAt(0) + Slot.callArguments + 8 * index))).toEqual([
      0x7000n,
      5n,
      6n,
    ]);
  });

  test('tells who asked for it how it went', () => {
    const outcomes: boolean[] = [];
    const server = serverWith(() => ({
      ...exchange,
      afterwards: (exchanged: boolean) => {
        outcomes.push(exchanged);
        return RETURN;
      },
    }));
    for (const [index, result] of [1n, 0n].entries()) {
      ask(0, 10 * index + 1);
      server.serve();
      expect(verdict(0)).toEqual([10 * index + 1, Action.exchange]);
      memory.setU64(slotAt(0) + Slot.result, result);
      ask(0, 10 * index + 2, { calls: 1 });
      server.serve();
      expect(verdict(0)).toEqual([10 * index + 2, Action.return]);
    }
    expect(outcomes).toEqual([true, false]);
  });
});

describe('what a hostile guest writes', () => {
  test.each([
    ['a stub that there is not', { stub: 60 }],
    ['a stub far out of bounds', { stub: 0xffff_ffff }],
  ])('%s goes on, without a trap', (_what, more) => {
    const server = serverWith(() => KILL);
    ask(0, 1, more);
    expect(server.serve()).toBe(1);
    expect(verdict(0)).toEqual([1, Action.goOn]);
    expect(traps).toEqual([]);
  });

  test('a call that nobody made goes on, and is reported', () => {
    const server = serverWith(() => KILL);
    ask(0, 1, { calls: 3 });
    server.serve();
    expect(verdict(0)).toEqual([1, Action.goOn]);
    expect(problems[0]).toMatch(/was not told to/);
    expect(traps).toEqual([]);
  });

  test('the call of another task is not taken for its own', () => {
    const server = serverWith(() => ({
      kind: 'call',
      function: gva(1n),
      arguments: [],
      afterwards: () => KILL,
    }));
    ask(0, 1);
    server.serve();
    ask(0, 2, { calls: 1, task: TASK + 8n });
    server.serve();
    expect(verdict(0)).toEqual([2, Action.goOn]);
  });

  test('a CPU that there cannot be gives no CPU base', () => {
    const server = serverWith(() => CONTINUE);
    ask(0, 1, { cpu: 0xffff_ffff });
    server.serve();
    expect(traps[0]?.registers.get('gs_base')).toBe(0n);
  });

  test('a sequence number out of bounds, and a state that there is not, are left alone', () => {
    const server = serverWith(() => CONTINUE);
    ask(0, 2 ** 28);
    ask(1, 1);
    memory.setU64(slotAt(1) + Slot.state, (1n << 32n) | 7n);
    expect(server.serve()).toBe(0);
  });
});

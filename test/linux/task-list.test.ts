import { describe, expect, test } from 'vitest';
import { TargetError } from '../../src/errors.ts';
import { parentPid, readSignalStack } from '../../src/linux/task.ts';
import { findProcess, listProcesses, listThreads } from '../../src/linux/task-list.ts';
import { gva } from '../../src/memory/address.ts';
import { SyntheticKernel } from '../support/synthetic-kernel.ts';
import { type WrittenTask, writeProcesses, writeThreads } from '../support/synthetic-tasks.ts';

const TASKS: readonly WrittenTask[] = [1, 2, 70, 71, 4_194_303].map((pid) => ({ pid, comm: `task ${pid}` }));

function made() {
  const kernel = new SyntheticKernel();
  const leaders = writeProcesses(kernel, TASKS);
  const at = (index: number) => leaders[index] ?? gva(0n);
  return { kernel, at };
}

describe('the list of processes', () => {
  test('has every process but the idle task, in order, with its facts', () => {
    const { kernel, at } = made();
    const { task_struct: layout } = kernel.layout;
    kernel.put(at(1), layout.real_parent, at(0));
    kernel.put(at(1), layout.flags, 0x20_0000n);
    kernel.put(at(2), layout.state, 0x402n);
    kernel.put(at(3), layout.exit_state, 0x20n);
    const { tasks, cuts } = listProcesses(kernel);
    expect(cuts).toEqual([]);
    expect(tasks.map(({ pid, tgid, comm, state }) => [pid, tgid, comm, state])).toEqual([
      [1, 1, 'task 1', 'S'],
      [2, 2, 'task 2', 'S'],
      [70, 70, 'task 70', 'I'],
      [71, 71, 'task 71', 'Z'],
      [4_194_303, 4_194_303, 'task 4194303', 'S'],
    ]);
    expect(tasks[1]).toMatchObject({
      address: at(1),
      isKernelThread: true,
      mm: 0n,
      startTime: 5_000_000_000n,
    });
    expect(tasks.map((task) => parentPid(kernel, task))).toEqual([0, 1, 0, 0, 0]);
    expect(findProcess(kernel, 70)?.comm).toBe('task 70');
    expect(findProcess(kernel, 3)).toBeUndefined();
  });

  test('cannot be read without its symbol', () => {
    expect(() => listProcesses(new SyntheticKernel())).toThrow(TargetError);
  });

  test.each([
    ['a cycle', 'cycle', 4, (link: bigint) => link],
    ['a cycle further back', 'cycle', 1, (link: bigint) => link],
    ['a wild pointer', 'unreadable', 0, () => 0xffff_9999_0000_0000n],
    ['a null pointer', 'unreadable', 0, () => 0n],
    ['an unaligned pointer', 'unreadable', 0, (link: bigint) => link + 3n],
  ] as const)('with %s is cut there, and keeps what came before', (_what, reason, from, target) => {
    const { kernel, at } = made();
    const link = BigInt(kernel.layout.task_struct.tasks);
    kernel.put(gva(at(4) + link), 0, target(at(from) + link));
    const { tasks, cuts } = listProcesses(kernel);
    expect(tasks.slice(0, 5).map(({ pid }) => pid)).toEqual(TASKS.map(({ pid }) => pid));
    expect(tasks.length).toBeLessThan(20);
    expect(cuts[0]).toMatchObject({ reason, structure: 'task_struct' });
  });
});

describe('the list of threads', () => {
  test('has the leader and every other thread', () => {
    const { kernel, at } = made();
    const threads = writeThreads(kernel, at(2), [
      { pid: 80, comm: 'worker' },
      { pid: 81, comm: 'worker' },
    ]);
    const leader = findProcess(kernel, 70);
    if (leader === undefined) throw new Error('no process 70');
    const { tasks, cuts } = listThreads(kernel, leader);
    expect(cuts).toEqual([]);
    expect(tasks.map(({ address }) => address)).toEqual(threads);
  });

  test('of a process whose signal structure is gone is empty, with a cut', () => {
    const { kernel } = made();
    const { tasks, cuts } = listThreads(kernel, { signal: gva(0n) });
    expect(tasks).toEqual([]);
    expect(cuts).toHaveLength(1);
  });
});

describe('the alternate signal stack', () => {
  test('is read where there is one', () => {
    const { kernel, at } = made();
    expect(readSignalStack(kernel, at(0))).toBeUndefined();
    kernel.put(at(0), kernel.layout.task_struct.sas_ss_sp, 0x7f00_0000_1000n);
    kernel.put(at(0), kernel.layout.task_struct.sas_ss_size, 8192n);
    expect(readSignalStack(kernel, at(0))).toEqual({ start: 0x7f00_0000_1000n, size: 8192n });
  });
});

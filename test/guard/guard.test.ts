import { describe, expect, test } from 'vitest';
import { TargetError } from '../../src/errors.ts';
import { Guard } from '../../src/guard/guard.ts';
import { findHookSites } from '../../src/guard/hooks.ts';
import { parsePolicy } from '../../src/guard/policy-file.ts';
import type { Kernel } from '../../src/linux/kernel.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { MockMachine } from '../../src/machine/mock/mock-machine.ts';
import { gva } from '../../src/memory/address.ts';

const POLICY = parsePolicy('version: 1\nprocesses: [{ match: { name: a }, action: block }]');

/** As much of a kernel as is looked at before a machine is stopped. */
function kernelWith(...functions: string[]): Kernel {
  const addresses = new Map(functions.map((name, index) => [name, gva(BigInt(index + 1))]));
  const findMany = (names: readonly string[]) =>
    new Map([...addresses].filter(([name]) => names.includes(name)));
  return { release: '6.1.0-test', symbols: { findMany } } as unknown as Kernel;
}

describe('Guard.start', () => {
  test('an image cannot be guarded', async () => {
    const { memory } = new MockMachine();
    const machine: Machine = { name: 'memory.elf', memory, [Symbol.asyncDispose]: async () => {} };
    const started = Guard.start({ machine, kernel: kernelWith(), policy: POLICY, sink: { emit: () => {} } });
    await expect(started).rejects.toThrow(TargetError);
    await expect(started).rejects.toThrow('memory.elf is not a running machine');
  });
});

describe('findHookSites', () => {
  const ALL = [
    'vma_set_page_prot',
    '__bad_area_nosemaphore',
    'security_bprm_committed_creds',
    'wake_up_new_task',
    'exit_mmap',
    'force_sig',
  ];

  test('names every function that the kernel lacks', () => {
    const lacking = kernelWith(...ALL.filter((name) => !name.startsWith('exit') && name !== 'force_sig'));
    expect(() => findHookSites(lacking)).toThrow(
      'the kernel 6.1.0-test cannot be guarded: it has no function exit_mmap, force_sig',
    );
  });

  test('gives each hook its place', () => {
    expect(findHookSites(kernelWith(...ALL))).toMatchObject({
      arm: { symbol: 'vma_set_page_prot', address: 1n },
      exited: { symbol: 'exit_mmap', address: 5n },
    });
  });
});

import { describe, expect, test } from 'vitest';
import { TargetError } from '../../../src/errors.ts';
import { locateBtf } from '../../../src/linux/btf.ts';
import { gva } from '../../../src/memory/address.ts';
import { kernelTypes } from '../../support/kernel-types.ts';
import { SyntheticKernel } from '../../support/synthetic-kernel.ts';

/** Puts type information into a made-up kernel's memory, 4-byte aligned as the linker does. */
function place(kernel: SyntheticKernel, bytes: Uint8Array, named = false): void {
  const address = kernel.allocate(bytes.length, 4096);
  kernel.physical.write(kernel.physicalOf(address), bytes);
  if (!named) return;
  kernel.symbols.set('__start_BTF', address);
  kernel.symbols.set('__stop_BTF', gva(address + BigInt(bytes.length)));
}

function rotten(): Uint8Array {
  return kernelTypes().fill(0x5a, 400);
}

describe('the kernel type information', () => {
  const good = kernelTypes();

  test('is found by its symbols', () => {
    const kernel = new SyntheticKernel();
    place(kernel, good, true);
    expect(locateBtf(kernel.memory, kernel.symbols).typeCount).toBe(kernel.types.typeCount);
  });

  test('is found by its header, behind stale copies', () => {
    const kernel = new SyntheticKernel();
    place(kernel, rotten());
    place(kernel, good.subarray(0, 3000));
    place(kernel, kernelTypes({ withoutStructs: ['dentry'] }));
    place(kernel, good);
    expect(locateBtf(kernel.memory, kernel.symbols).struct('dentry')).toBeDefined();
  });

  test('is looked for where the symbols name a rotten copy', () => {
    const kernel = new SyntheticKernel();
    place(kernel, rotten(), true);
    place(kernel, good);
    expect(locateBtf(kernel.memory, kernel.symbols).struct('dentry')).toBeDefined();
  });

  test('that lacks what is needed is an error that names it', () => {
    const kernel = new SyntheticKernel();
    place(kernel, kernelTypes({ without: ['mm_struct.pgd'] }), true);
    expect(() => locateBtf(kernel.memory, kernel.symbols)).toThrow(
      "the kernel's struct mm_struct has no member pgd",
    );
  });

  test('that is not there is an error that says what still works', () => {
    const kernel = new SyntheticKernel();
    place(kernel, rotten());
    expect(() => locateBtf(kernel.memory, kernel.symbols)).toThrow(TargetError);
    expect(() => locateBtf(kernel.memory, kernel.symbols)).toThrow(/only its release and its symbols/);
  });

  test('between symbols that lie is not read', () => {
    const kernel = new SyntheticKernel();
    kernel.symbols.set('__start_BTF', gva(0xffff_8880_0000_1000n));
    kernel.symbols.set('__stop_BTF', gva(0xffff_ffff_ffff_f000n));
    place(kernel, good);
    expect(locateBtf(kernel.memory, kernel.symbols).struct('dentry')).toBeDefined();
  });
});

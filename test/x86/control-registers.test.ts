import { describe, expect, test } from 'vitest';
import { gva } from '../../src/memory/address.ts';
import {
  isLongMode,
  kernelRootUnderKpti,
  noExecuteEnabled,
  pagingLevels,
  rootOfCr3,
} from '../../src/x86/control-registers.ts';
import { interruptHandler, PAGE_FAULT_VECTOR } from '../../src/x86/interrupt-gate.ts';
import { type RegisterName, Registers } from '../../src/x86/registers.ts';
import { ArrayMemory } from '../support/array-memory.ts';

function registers(values: Partial<Record<RegisterName, bigint>>): Registers {
  const made = new Registers();
  for (const [name, value] of Object.entries(values)) made.set(name as RegisterName, value);
  return made;
}

describe('control registers', () => {
  test('name the root without PCID, flags and masks', () => {
    expect(rootOfCr3(registers({ cr3: 0xe00f_1234_5678_9803n }))).toBe(0xf_1234_5678_9000);
  });

  test("lead from user mode's root to the kernel's", () => {
    expect(kernelRootUnderKpti(0x244_7000)).toBe(0x244_6000);
    expect(kernelRootUnderKpti(0x244_6000)).toBe(0x244_6000);
    expect(kernelRootUnderKpti(0x3_0000_1000)).toBe(0x3_0000_0000);
  });

  test('tell paging levels, long mode and NXE', () => {
    expect(pagingLevels(registers({ cr4: 0x0075_0eb0n }))).toBe(4);
    expect(pagingLevels(registers({ cr4: 0x0075_1eb0n }))).toBe(5);
    expect(isLongMode(registers({ efer: 0xd01n }))).toBe(true);
    expect(isLongMode(registers({ efer: 0x100n }))).toBe(false);
    expect(noExecuteEnabled(registers({ efer: 0xd01n }))).toBe(true);
    expect(noExecuteEnabled(registers({ efer: 0x501n }))).toBe(false);
  });
});

describe('an interrupt gate', () => {
  test('names its handler', () => {
    const memory = new ArrayMemory(4096);
    memory.setU64(14 * 16, 0x8140_8e00_0010_0be0n);
    memory.setU64(14 * 16 + 8, 0xffff_ffffn);
    expect(interruptHandler(memory, 0, PAGE_FAULT_VECTOR)).toBe(gva(0xffff_ffff_8140_0be0n));
    expect(interruptHandler(memory, 0, 13)).toBeUndefined();
    expect(interruptHandler(memory, 4000, PAGE_FAULT_VECTOR)).toBeUndefined();
  });
});

import { describe, expect, test } from 'vitest';
import { TargetError } from '../../src/errors.ts';
import { ProtectionMap } from '../../src/guard/protection-map.ts';
import { ArrayMemory } from '../support/array-memory.ts';

const NX = 1n << 63n;
/** As read from Linux 6.1: none, r, w, rw, x, rx, wx, rwx, then the same shared. */
const LINUX = [
  0x120n,
  0x25n | NX,
  0x25n | NX,
  0x25n | NX,
  0x25n,
  0x25n,
  0x25n,
  0x25n,
  0x120n,
  0x25n | NX,
  0x27n | NX,
  0x27n | NX,
  0x25n,
  0x25n,
  0x27n,
  0x27n,
];

function memoryOf(values: readonly bigint[]): ArrayMemory {
  const memory = new ArrayMemory(4096);
  for (const [index, value] of values.entries()) memory.setU64(0x100 + 8 * index, value);
  return memory;
}

describe('ProtectionMap', () => {
  test.each([
    ['r-x', 0x75, 0],
    ['rwx', 0x77, 0],
    ['--x: readable, or the CPU would fault for ever', 0x74, 0],
    ['a stack', 0x118177, 0],
  ])('%s', (_name, flagsLow, flagsHigh) => {
    const map = ProtectionMap.read(memoryOf(LINUX), 0x100);
    expect(map.low(flagsLow)).toBe(0x25);
    expect(map.high(flagsLow, flagsHigh)).toBe(0);
    expect(map.armedHigh(flagsLow, flagsHigh)).toBe(0x8000_0000);
  });

  test("the protection key comes from the VMA's flags", () => {
    const map = ProtectionMap.read(memoryOf(LINUX), 0x100);
    expect(map.high(0x75, 0x5)).toBe(0x2800_0000);
    expect(map.armedHigh(0x75, 0xf)).toBe(0xf800_0000);
  });

  test("the guest's own bits are kept", () => {
    const encrypted = LINUX.map((value) => value | (1n << 51n));
    expect(ProtectionMap.read(memoryOf(encrypted), 0x100).armedHigh(0x75, 0)).toBe(0x8008_0000);
  });

  test.each([
    ['all zero', LINUX.map(() => 0n)],
    ['executable data', LINUX.with(3, 0x25n)],
    ['a private page that can be written', LINUX.with(7, 0x27n)],
    ['not executable text', LINUX.with(5, 0x25n | NX)],
    ['kernel pages', LINUX.with(5, 0x21n)],
  ])('%s is refused', (_name, values) => {
    expect(() => ProtectionMap.read(memoryOf(values), 0x100)).toThrow(TargetError);
  });

  test('without the array, from the text of a program', () => {
    const map = ProtectionMap.ofText(0x25, 0x0008_0000);
    expect(map.armedHigh(0x77, 0)).toBe(0x8008_0000);
    expect(() => ProtectionMap.ofText(0x25, 0x8000_0000)).toThrow(TargetError);
  });
});

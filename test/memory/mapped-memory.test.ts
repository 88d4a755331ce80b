import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TargetError } from '../../src/errors.ts';
import { gpa } from '../../src/memory/address.ts';
import { MappedMemory, type MappedRange } from '../../src/memory/mapped-memory.ts';
import { PhysicalMemoryError } from '../../src/memory/physical-memory.ts';

const GIB = 2 ** 30;
let folder: string;
let path: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'underwatch-test-'));
  path = join(folder, 'ram');
  const bytes = new Uint8Array(0x4000);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + (i >> 8)) & 0xff;
  writeFileSync(path, bytes);
});

afterAll(() => rmSync(folder, { recursive: true }));

function range(start: number, size: number, offset: number): MappedRange {
  return { start: gpa(start), size, path, offset };
}

describe('a file mapped as RAM', () => {
  test('words are little-endian, aligned or not', () => {
    using memory = MappedMemory.ofFile(path);
    const bytes = readFileSync(path);
    for (const at of [0, 1, 2, 3, 0x1ffd, 0x3ffc]) expect(memory.u32(at)).toBe(bytes.readUInt32LE(at));
    expect(memory.u16(0x3ffe)).toBe(bytes.readUInt16LE(0x3ffe));
    expect(memory.u8(0x3fff)).toBe(bytes[0x3fff]);
  });

  test('nothing is read outside of it', () => {
    using memory = MappedMemory.ofFile(path);
    for (const at of [-1, 0x3ffd, 0x4000, 2 ** 40, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => memory.u32(at)).toThrow(PhysicalMemoryError);
    }
    expect(() => memory.read(0x3fff, new Uint8Array(2))).toThrow('0x4000');
    expect(memory.contains(0, 0x4000)).toBe(true);
    expect(memory.contains(1, 0x4000)).toBe(false);
  });

  test('writes reach the file', () => {
    using memory = MappedMemory.ofFile(path);
    memory.write(0x1ffe, Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
    expect([...readFileSync(path).subarray(0x1ffe, 0x2002)]).toEqual([0xde, 0xad, 0xbe, 0xef]);
    expect(() => memory.write(0x3fff, Uint8Array.of(1, 2))).toThrow(PhysicalMemoryError);
  });

  test('ranges lie where they are told to, with holes between them', () => {
    using memory = new MappedMemory([
      range(0, 0x1000, 0),
      range(0x1000, 0x1000, 0x3000),
      range(4 * GIB, 0x2000, 0x1000),
    ]);
    const bytes = readFileSync(path);
    expect(memory.u32(4 * GIB + 0x1000)).toBe(bytes.readUInt32LE(0x2000));
    expect(memory.u32(0x1004)).toBe(bytes.readUInt32LE(0x3004));
    const across = new Uint8Array(0x20);
    memory.read(0xff0, across);
    expect([...across]).toEqual([...bytes.subarray(0xff0, 0x1000), ...bytes.subarray(0x3000, 0x3010)]);
    expect(memory.contains(0, 0x2000)).toBe(true);
    expect(() => memory.u8(0x2000)).toThrow(PhysicalMemoryError);
    expect(() => memory.u8(4 * GIB - 1)).toThrow(PhysicalMemoryError);
  });

  test('once disposed of it has no memory, however often', () => {
    const memory = MappedMemory.ofFile(path);
    memory[Symbol.dispose]();
    memory[Symbol.dispose]();
    expect(() => memory.u8(0)).toThrow(PhysicalMemoryError);
    expect(memory.contains(0, 1)).toBe(false);
  });

  test('16 GiB and more', () => {
    const big = join(folder, 'big');
    writeFileSync(big, '');
    truncateSync(big, 20 * GIB);
    using memory = MappedMemory.ofFile(big);
    memory.write(18 * GIB + 4, Uint8Array.of(1, 2, 3, 4));
    expect(memory.u32(18 * GIB + 4)).toBe(0x04030201);
    expect(memory.u32(2 * GIB + 4)).toBe(0);
  });

  test('a file that is absent, too short or a folder is a TargetError in one sentence', () => {
    expect(() => MappedMemory.ofFile(join(folder, 'none'))).toThrow(TargetError);
    expect(() => MappedMemory.ofFile(folder)).toThrow(TargetError);
    expect(() => new MappedMemory([range(0, 0x1000, 0), range(0x1000, 0x8000, 0)])).toThrow(/too short/);
  });

  test('ranges that overlap are refused', () => {
    expect(() => new MappedMemory([range(0, 0x2000, 0), range(0x1000, 0x1000, 0)])).toThrow(RangeError);
  });
});

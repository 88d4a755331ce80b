import { spawn } from 'node:child_process';
import { once } from 'node:events';
import koffi from 'koffi';
import { describe, expect, test } from 'vitest';
import { TargetError, TargetLostError } from '../../src/errors.ts';
import { gpa } from '../../src/memory/address.ts';
import { PhysicalMemoryError } from '../../src/memory/physical-memory.ts';
import { ProcessMemory } from '../../src/memory/process-memory.ts';

/** This process's own memory stands for QEMU's. */
function ownMemory(): { bytes: Uint8Array; memory: ProcessMemory } {
  const bytes = Uint8Array.from({ length: 0x3000 }, (_, i) => (i * 13) & 0xff);
  const hostAddress = Number(koffi.address(bytes));
  const memory = new ProcessMemory(process.pid, [
    { start: gpa(0), size: 0x1000, hostAddress: hostAddress + 0x2000 },
    { start: gpa(0x10000), size: 0x2000, hostAddress },
  ]);
  return { bytes, memory };
}

describe('memory of another process', () => {
  test('is read and written where its ranges lie', () => {
    const { bytes, memory } = ownMemory();
    using _ = memory;
    const view = new DataView(bytes.buffer);
    expect(memory.u32(0x10003)).toBe(view.getUint32(3, true));
    expect(memory.u16(0x11fff - 1)).toBe(view.getUint16(0x1ffe, true));
    expect(memory.u8(0)).toBe(bytes[0x2000]);
    memory.write(0x10ffe, Uint8Array.of(9, 8, 7, 6));
    expect([...bytes.subarray(0xffe, 0x1002)]).toEqual([9, 8, 7, 6]);
    const target = new Uint8Array(0x2000);
    memory.read(0x10000, target);
    expect(target).toEqual(bytes.subarray(0, 0x2000));
  });

  test('outside its ranges there is none', () => {
    const { memory } = ownMemory();
    using _ = memory;
    for (const at of [-1, 0x1000, 0xfffd + 1, 0x12000])
      expect(() => memory.u32(at)).toThrow(PhysicalMemoryError);
    expect(() => memory.write(0xfff, Uint8Array.of(1, 2))).toThrow('0x1000');
  });

  test('a host address that is not mapped is unreadable', () => {
    using memory = new ProcessMemory(process.pid, [{ start: gpa(0), size: 0x1000, hostAddress: 0x1000 }]);
    expect(() => memory.u32(0)).toThrow(PhysicalMemoryError);
  });

  test('a process that ended is lost, one that never was cannot be opened', async () => {
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    using memory = new ProcessMemory(child.pid ?? 0, [{ start: gpa(0), size: 0x1000, hostAddress: 0x1000 }]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(() => memory.u32(0)).toThrow(TargetLostError);
    expect(() => new ProcessMemory(2 ** 30, [])).toThrow(TargetError);
  });

  test('once disposed of it has no memory', () => {
    const { memory } = ownMemory();
    memory[Symbol.dispose]();
    memory[Symbol.dispose]();
    expect(() => memory.u8(0)).toThrow(PhysicalMemoryError);
    expect(memory.contains(0, 1)).toBe(false);
  });
});

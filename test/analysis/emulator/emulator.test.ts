import { afterAll, describe, expect, test } from 'vitest';
import { describeStop } from '../../../src/analysis/emulator/stop.ts';
import { bytes, CODE, emulatorWith, load, STACK } from './support.ts';

describe('the emulator', () => {
  const emulator = emulatorWith('90');
  afterAll(() => emulator[Symbol.dispose]());

  function run(code: Uint8Array | string, budget = 1000, bits: 32 | 64 = 64) {
    load(emulator, code, bits);
    return emulator.run(budget);
  }

  test('stops when its budget is used up, and goes on when asked', () => {
    expect(run('ffc0 ebfc', 10)).toEqual({ kind: 'budget' });
    expect(emulator.cpu.low(0)).toBe(5);
    expect(emulator.run(10)).toEqual({ kind: 'budget' });
    expect(emulator.cpu.low(0)).toBe(10);
    expect(emulator.cpu.executed).toBe(20);
  });

  test('counts each iteration of a repeated string instruction', () => {
    expect(run('4889e7 b964000000 f3aa', 50)).toEqual({ kind: 'budget' });
    expect(emulator.cpu.low(1)).toBe(100 - 48);
  });

  test.each([
    ['0f0b', { kind: 'invalid' }],
    ['06', { kind: 'invalid' }],
    ['f4', { kind: 'privileged', mnemonic: 'HLT' }],
    ['f20f58c1', { kind: 'unsupported', mnemonic: 'ADDSD' }],
    ['62f17c4858c1', { kind: 'unsupported', mnemonic: 'VADDPS' }],
    ['31c9 f7f1', { kind: 'divide-error' }],
    ['cc', { kind: 'interrupt', vector: 3 }],
    ['8b042500000000', { kind: 'memory', access: 'read', address: 0n }],
    ['c7042510000000 00000000', { kind: 'memory', access: 'write', address: 16n }],
    ['ff242500100000', { kind: 'memory', access: 'read', address: 0x1000n }],
    ['b800100000 ffe0', { kind: 'memory', access: 'fetch', address: 0x1000n }],
    ['8ed8', { kind: 'budget' }],
    ['b899000000 8ed8', { kind: 'selector', selector: 0x99 }],
    ['0f280c2501000000', { kind: 'protection', what: 'operand not aligned' }],
  ])('%s ends with its reason', (code, reason) => {
    expect(run(`${code} ebfe`)).toEqual(reason);
    expect(describeStop(run(`${code} ebfe`))).not.toBe('');
  });

  test('unsupported instructions are named', () => {
    expect(describeStop(run('f20f58c1'))).toBe('unsupported: ADDSD');
  });

  test('runs what it has just written over its own next instruction', () => {
    // mov byte [rip+1], 0x41: turns "inc eax" (ffc0) into "inc ecx" (ffc1).
    expect(run('c60502000000c1 90 ffc0 cc')).toMatchObject({ kind: 'interrupt' });
    expect(run('c60501000000c1 ffc0 cc')).toMatchObject({ kind: 'interrupt' });
    expect([emulator.cpu.low(0), emulator.cpu.low(1)]).toEqual([0, 1]);
  });

  test('sees a change in the middle of an instruction that it had decoded', () => {
    // loop: mov eax, imm32; inc byte of the immediate; dec ecx; jnz loop
    expect(run('b903000000 b800000000 fe05f6ffffff ffc9 75f1 cc')).toMatchObject({ kind: 'interrupt' });
    expect(emulator.cpu.low(0)).toBe(2);
    expect(emulator.memory.load8(0, CODE + 6)).toBe(3);
  });

  test('decodes instructions that cross pages, and sees changes on either side', () => {
    const code = new Uint8Array(0x1010).fill(0x90);
    code.set(bytes('b811223344 cc'), 0xffd);
    expect(run(code, 5000)).toMatchObject({ kind: 'interrupt' });
    expect(emulator.cpu.low(0)).toBe(0x44332211);
    const changed = code.slice();
    changed.set(bytes('c605fa0f000077'), 0);
    expect(run(changed, 5000)).toMatchObject({ kind: 'interrupt' });
    expect(emulator.cpu.low(0)).toBe(0x77332211);
  });

  test('ends at the edge of what can be fetched', () => {
    const code = new Uint8Array(0x1000).fill(0x90);
    code[0xfff] = 0xb8;
    expect(run(code, 5000)).toEqual({ kind: 'memory', access: 'fetch', address: BigInt(CODE + 0x1000) });
  });

  test('enters the kernel, and says how', () => {
    const entries: string[] = [];
    load(emulator, '0f05 cd80 0f34 cc');
    emulator.observer = {
      before: () => {},
      after: () => {},
      tookCodeAddress: () => {},
      switchedMode: () => {},
      kernelEntered: (_cpu, entry) => {
        entries.push(entry);
        return undefined;
      },
    };
    emulator.run(10);
    emulator.observer = undefined;
    expect(entries).toEqual(['syscall', 'int 0x80', 'sysenter']);
    expect(run('0f05')).toEqual({ kind: 'system-call' });
  });

  test('SYSCALL leaves the return address and the flags', () => {
    run('f9 0f05');
    expect(emulator.cpu.low(1)).toBe(CODE + 3);
    expect(emulator.cpu.low(11) & 1).toBe(1);
  });

  test.each([
    ['fldz; fnstenv', 'd9ee d97424f4 5e cc'],
    ['fld1; fnsave', 'd9e8 dd7424f4 5e cc'],
    ['fldpi; fxsave', 'd9eb 4881ec00020000 0fae0424 8b742408 cc'],
  ])('%s gives the address of the last x87 instruction', (_, code) => {
    expect(run(code)).toMatchObject({ kind: 'interrupt' });
    expect(emulator.cpu.low(6)).toBe(CODE);
  });

  test('reads and writes segment bases', () => {
    expect(run('bf00100000 f3480faed7 f3480faec0 cc')).toMatchObject({ kind: 'interrupt' });
    expect(emulator.cpu.low(0)).toBe(0x1000);
    load(emulator, '64488b042500000000 cc');
    emulator.cpu.segmentBases[8] = STACK;
    emulator.memory.store32(0, STACK, 77);
    emulator.run(5);
    expect(emulator.cpu.low(0)).toBe(77);
  });

  test('time passes, and the processor has a name', () => {
    run('0f31 89c3 0f31 29d8 cc');
    expect(emulator.cpu.low(0)).toBeGreaterThan(0);
    run('31c0 0fa2 cc');
    expect(
      Buffer.from(
        Int32Array.of(emulator.cpu.low(3), emulator.cpu.low(2), emulator.cpu.low(1)).buffer,
      ).toString(),
    ).toBe('GenuineIntel');
  });

  test('counts the no-operations at the start', () => {
    run('90 6690 0f1f4000 f30f1efa ffc0 90 cc');
    expect(emulator.leadingNops).toBe(3);
  });

  test('random numbers say that they are ready, and differ', () => {
    run('480fc7f0 0f92c1 480fc7f2 cc');
    expect(emulator.cpu.low(1) & 0xff).toBe(1);
    expect(emulator.cpu.low(0)).not.toBe(emulator.cpu.low(2));
  });
});

describe('hostile code', () => {
  const emulator = emulatorWith('90');
  afterAll(() => emulator[Symbol.dispose]());
  const BUDGET = 200_000;

  test.each([
    ['an endless loop', 'ebfe'],
    ['a giant repeat', '4889e7 48c7c1ffffffff fd f3aa'],
    ['a repeat that does nothing', '4889e6 48c7c1ffffffff f3ac'],
    ['deep recursion', 'e8fbffffff'],
    ['a storm of self-modification', '4c8d0500000000 41fe4010 41fe4011 ebf6 9090909090909090'],
    ['page after page', '488d0500100000 4805001000008a00 ebf6'],
    ['division in a loop', 'bb07000000 99 f7f3 ebfb'],
  ])('%s ends within its budget', (_, code) => {
    load(emulator, code);
    const stop = emulator.run(BUDGET);
    expect(emulator.cpu.executed).toBeLessThanOrEqual(BUDGET);
    expect(['budget', 'memory', 'memory-limit', 'invalid', 'divide-error']).toContain(stop.kind);
    expect(emulator.memory.slab.count).toBeLessThanOrEqual(1024);
  });
});

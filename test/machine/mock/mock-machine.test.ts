import { expect, test } from 'vitest';
import { TargetError, TargetLostError } from '../../../src/errors.ts';
import { MockMachine } from '../../../src/machine/mock/mock-machine.ts';
import { gva } from '../../../src/memory/address.ts';

const FUNCTION = gva(0x1000n);

test('scripted stops come one a resume, with the registers that the script sets', async () => {
  await using machine = new MockMachine({ vcpus: 2 });
  const attached = await machine.debug();
  await attached.insertBreakpoint(FUNCTION);
  attached.script({ vcpu: 2, registers: { rip: FUNCTION, rdi: 7n } });
  attached.script({ reason: 'interrupt' });
  attached.resume();
  const stop = await attached.nextStop();
  expect([stop.vcpu, stop.reason, stop.registers.get('rdi')]).toEqual([2, 'breakpoint', 7n]);
  attached.resume(2, { rip: FUNCTION + 5n });
  expect((await attached.nextStop()).reason).toBe('interrupt');
  expect((await attached.readRegisters(2)).get('rip')).toBe(FUNCTION + 5n);
  expect(attached.actions.map(({ kind }) => kind)).toEqual(['insert', 'resume', 'resume']);
});

test('a stop where no breakpoint is, is an error of the test', async () => {
  await using machine = new MockMachine();
  const attached = await machine.debug();
  attached.script({ registers: { rip: FUNCTION } });
  expect(() => attached.resume()).toThrow(/no breakpoint/);
});

test('code is written to memory and recorded', async () => {
  await using machine = new MockMachine();
  machine.memory.map(0x1000, 4096);
  const attached = await machine.debug();
  await attached.writeCode(1, FUNCTION, Uint8Array.of(0x90, 0xc3));
  expect(machine.memory.u16(0x1000)).toBe(0xc390);
  expect(attached.actions).toEqual([
    { kind: 'code', vcpu: 1, address: FUNCTION, bytes: Uint8Array.of(0x90, 0xc3) },
  ]);
});

test('a machine that goes away rejects whoever waits', async () => {
  await using machine = new MockMachine();
  const attached = await machine.debug();
  attached.resume();
  const stop = attached.nextStop();
  machine.lose();
  await expect(stop).rejects.toThrow(TargetLostError);
  await expect(attached.interrupt()).rejects.toThrow(TargetLostError);
  await machine.gone;
});

test('nothing is read or written while it runs; disposing leaves it running, without breakpoints', async () => {
  const machine = new MockMachine();
  const attached = await machine.debug();
  await attached.insertBreakpoint(FUNCTION);
  attached.resume();
  await expect(attached.readRegisters(1)).rejects.toThrow(TargetError);
  await attached[Symbol.asyncDispose]();
  expect([machine.running, attached.breakpoints.size]).toEqual([true, 0]);
});

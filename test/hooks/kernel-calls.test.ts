import { describe, expect, test } from 'vitest';
import { KernelCalls } from '../../src/hooks/kernel-calls.ts';
import { FUNCTIONS, hookedMachine, settled, stackOf } from './hooked-machine.ts';

describe('KernelCalls', () => {
  test('calls in the first system call that comes, once, and leaves no trap behind', async () => {
    const { machine, debugger: debug, traps, kernel } = await hookedMachine({ vcpus: 2 });
    traps.start();
    const result = new KernelCalls(traps, kernel).call('flush_tlb_all', [], 5000);
    await settled();
    expect(debug.breakpoints).toEqual(new Set([FUNCTIONS.__x64_sys_read, FUNCTIONS.__x64_sys_write]));
    const rsp = stackOf(machine, 0);
    debug.script({ vcpu: 1, registers: { rip: FUNCTIONS.__x64_sys_read, rsp } });
    debug.script({ vcpu: 2, registers: { rip: FUNCTIONS.__x64_sys_write, rsp: stackOf(machine, 1) } });
    debug.script({ vcpu: 1, registers: { rip: FUNCTIONS.__x64_sys_read, rsp: rsp - 8n, rax: 6n } });
    expect(await result).toBe(6n);
    await settled();
    expect(debug.breakpoints.size).toBe(0);
    expect(debug.running).toBe(true);
  });

  test('an idle guest makes no system call: nothing is called, and no trap is left behind', async () => {
    const { debugger: debug, traps, kernel } = await hookedMachine();
    traps.start();
    expect(await new KernelCalls(traps, kernel).call('flush_tlb_all', [], 20)).toBeUndefined();
    await settled();
    expect(debug.breakpoints.size).toBe(0);
  });

  test('a function that the kernel does not have', async () => {
    const { traps, kernel } = await hookedMachine();
    traps.start();
    await expect(new KernelCalls(traps, kernel).call('no_such', [], 20)).rejects.toThrow('no symbol no_such');
  });

  test('a machine that goes away in the middle of a call', async () => {
    const { machine, debugger: debug, traps, kernel } = await hookedMachine();
    traps.start();
    const result = new KernelCalls(traps, kernel).call('flush_tlb_all', [], 5000);
    await settled();
    debug.script({ registers: { rip: FUNCTIONS.__x64_sys_read, rsp: stackOf(machine, 0) } });
    await settled();
    machine.lose();
    expect(await result).toBeUndefined();
  });
});

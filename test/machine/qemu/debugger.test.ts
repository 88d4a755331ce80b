import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { TargetError, TargetLostError } from '../../../src/errors.ts';
import { QemuDebugger } from '../../../src/machine/qemu/debugger.ts';
import { gva } from '../../../src/memory/address.ts';
import { FakeGdbstub } from './fake-gdbstub.ts';

const RIP = 16;
const CR3 = 29;
const FUNCTION = gva(0xffff_ffff_8100_1000n);

describe.each([
  ['a stub that tells its stop at connect', true],
  ['a stub that does not', false],
])('%s', (_, stopsAtConnect) => {
  test('attaches, and leaves the machine running without breakpoints', async () => {
    await using stub = await FakeGdbstub.start(stopsAtConnect);
    const attached = await QemuDebugger.attach(stub.endpoint, stub);
    expect(attached.vcpus).toEqual([1, 2]);
    expect(attached.running).toBe(false);
    expect(stub.status).toBe('paused');
    await attached.insertBreakpoint(FUNCTION);
    expect([...stub.breakpoints]).toEqual(['ffffffff81001000']);
    attached.resume();
    expect(attached.running).toBe(true);
    await attached[Symbol.asyncDispose]();
    expect(stub.breakpoints.size).toBe(0);
    expect(stub.status).toBe('running');
    await until(() => stub.server.sockets.size === 0);
  });
});

test('breakpoints that another client left behind are gone', async () => {
  await using stub = await FakeGdbstub.start();
  stub.breakpoints.add('1234');
  await using _ = await QemuDebugger.attach(stub.endpoint, stub);
  expect(stub.breakpoints.size).toBe(0);
});

describe('stops', () => {
  test('a breakpoint names its vCPU, and resuming changes registers in one write', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    stub.registers[1]?.set(RIP, FUNCTION);
    attached.resume();
    await until(() => stub.status === 'running');
    stub.hit(2);
    const stop = await attached.nextStop();
    expect([stop.vcpu, stop.reason, stop.registers.get('rip')]).toEqual([2, 'breakpoint', FUNCTION]);
    stub.log.length = 0;
    attached.resume(stop.vcpu, { rip: FUNCTION + 5n, rdi: 9n });
    await until(() => stub.status === 'running');
    expect(stub.log).toEqual(['P10=05100081ffffffff', 'P5=0900000000000000', 'vCont;c']);
    stub.hit(2);
    expect((await attached.nextStop()).registers.get('rip')).toBe(FUNCTION + 5n);
  });

  test('an interrupt is sent only while the machine runs', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    await attached.interrupt();
    expect(stub.log).not.toContain('^C');
    attached.resume();
    await Promise.all([attached.interrupt(), attached.interrupt()]);
    expect(stub.log.filter((packet) => packet === '^C')).toHaveLength(1);
    expect((await attached.nextStop()).reason).toBe('interrupt');
  });

  test('a breakpoint that comes before the interrupt takes effect is the stop', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume();
    await until(() => stub.status === 'running');
    stub.hit(1);
    await attached.interrupt();
    expect((await attached.nextStop()).reason).toBe('breakpoint');
  });

  test('somebody else pauses and runs the machine: no stop, taken over again afterwards', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume();
    await until(() => stub.status === 'running');
    const stop = attached.nextStop();
    await stub.pause();
    await sleep(20);
    expect(attached.running).toBe(true);
    await stub.run();
    await until(() => stub.log.at(-1) === 'vCont;c' && stub.status === 'running');
    stub.hit(1);
    expect((await stop).reason).toBe('breakpoint');
  });

  test('a machine that somebody else paused stays so, whatever is done meanwhile', async () => {
    await using stub = await FakeGdbstub.start();
    stub.status = 'paused';
    const attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume(1, { rax: 1n });
    await attached.interrupt();
    expect((await attached.nextStop()).registers.get('rax')).toBe(1n);
    attached.resume();
    await attached[Symbol.asyncDispose]();
    expect(stub.status).toBe('paused');
    expect(stub.log).not.toContain('vCont;c');
  });

  test('a machine that a debugger left behind at a breakpoint is let go', async () => {
    await using stub = await FakeGdbstub.start();
    stub.status = 'debug';
    const attached = await QemuDebugger.attach(stub.endpoint, stub);
    await attached[Symbol.asyncDispose]();
    expect(stub.status).toBe('running');
  });
});

describe('a machine that stands still', () => {
  test('steps, reads and writes registers of the vCPU that is named', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    stub.registers[1]?.set(RIP, 0x1000n);
    expect((await attached.step(2)).get('rip')).toBe(0x1001n);
    await attached.writeRegisters(1, { cr3: 0x5000n, eflags: 0x246n });
    expect(stub.registers[0]?.get(CR3)).toBe(0x5000n);
    expect((await attached.readRegisters(1)).get('eflags')).toBe(0x246n);
    expect((await attached.readRegisters(2)).get('cr3')).toBe(0n);
  });

  test('flushes every vCPU by writing CR3 as it is', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    stub.registers[0]?.set(CR3, 0x1000n);
    stub.registers[1]?.set(CR3, 0x2000n);
    stub.log.length = 0;
    await attached.flushTranslations();
    expect(stub.log.filter((packet) => packet.startsWith('P'))).toEqual([
      'P1d=0010000000000000',
      'P1d=0020000000000000',
    ]);
  });

  test('code is written in packets that every stub takes', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    await attached.writeCode(1, FUNCTION, new Uint8Array(1500).fill(0x90));
    const writes = stub.log.filter((packet) => packet.startsWith('M'));
    expect(writes.map((packet) => packet.split(':')[0])).toEqual([
      'Mffffffff81001000,400',
      'Mffffffff81001400,1dc',
    ]);
    expect(Math.max(...writes.map((packet) => packet.length))).toBeLessThan(4096);
  });

  test('nothing of that is done while it runs', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume();
    await expect(attached.readRegisters(1)).rejects.toThrow(TargetError);
    await expect(attached.insertBreakpoint(FUNCTION)).rejects.toThrow(TargetError);
    expect(() => attached.resume()).toThrow(TargetError);
  });

  test('what the stub refuses is told', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    await expect(attached.readRegisters(9)).rejects.toThrow('knows no vCPU 9');
    stub.overrides.set(`Z0,${FUNCTION.toString(16)},1`, 'E22');
    await expect(attached.insertBreakpoint(FUNCTION)).rejects.toThrow(
      /no breakpoint at 0xffffffff81001000: E22/,
    );
    stub.overrides.set('P0=0100000000000000', 'E14');
    attached.resume(1, { rax: 1n });
    await expect(attached.nextStop()).rejects.toThrow(/refused P0=.*E14/);
  });

  test('a vCPU that was plugged in gets the breakpoints too', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    await attached.insertBreakpoint(FUNCTION);
    attached.resume();
    stub.registers.push(new Map());
    stub.log.length = 0;
    await attached.interrupt();
    expect(attached.vcpus).toEqual([1, 2, 3]);
    expect(stub.log.slice(-2)).toEqual(['z0,ffffffff81001000,1', 'Z0,ffffffff81001000,1']);
  });
});

describe('when things go wrong', () => {
  test('the machine goes away: whoever waits is told, and disposing ends all the same', async () => {
    await using stub = await FakeGdbstub.start();
    const attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume();
    const stop = attached.nextStop();
    stub.server.drop();
    await expect(stop).rejects.toThrow(TargetLostError);
    await expect(attached.interrupt()).rejects.toThrow(TargetLostError);
    await attached[Symbol.asyncDispose]();
  });

  test('the connection alone is lost: another one takes the breakpoints away', async () => {
    await using stub = await FakeGdbstub.start();
    const attached = await QemuDebugger.attach(stub.endpoint, stub);
    await attached.insertBreakpoint(FUNCTION);
    attached.resume();
    await until(() => stub.status === 'running');
    stub.server.drop();
    await sleep(20);
    expect(stub.breakpoints.size).toBe(1);
    await attached[Symbol.asyncDispose]();
    expect(stub.breakpoints.size).toBe(0);
    expect(stub.status).toBe('running');
  });

  test('a malformed packet ends the session', async () => {
    await using stub = await FakeGdbstub.start();
    await using attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume();
    const stop = attached.nextStop();
    for (const socket of stub.server.sockets) socket.write('$T05#00');
    await expect(stop).rejects.toThrow(/a wrong checksum/);
  });

  test('a machine that is no x86 is refused, and left running', async () => {
    await using stub = await FakeGdbstub.start();
    stub.overrides.set('qXfer:features:read:core.xml:0,800', 'l<reg name="x0" bitsize="64" regnum="0"/>');
    await expect(QemuDebugger.attach(stub.endpoint, stub)).rejects.toThrow(/no 64-bit x86/);
    expect(stub.status).toBe('running');
  });

  test('whoever waits for a stop is told that the debugger is detached', async () => {
    await using stub = await FakeGdbstub.start();
    const attached = await QemuDebugger.attach(stub.endpoint, stub);
    attached.resume();
    const stop = attached.nextStop();
    const told = expect(stop).rejects.toThrow('the debugger is detached');
    await attached[Symbol.asyncDispose]();
    await attached[Symbol.asyncDispose]();
    await told;
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { TargetError, TargetLostError, UsageError } from '../../src/errors.ts';
import type { Debugger, LiveMachine, Machine } from '../../src/machine/machine.ts';
import { attachQemu } from '../../src/machine/qemu/attach.ts';
import { GdbClient } from '../../src/machine/qemu/gdb-client.ts';
import { GdbStub } from '../../src/machine/qemu/gdb-stub.ts';
import { QmpClient } from '../../src/machine/qemu/qmp.ts';
import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import { MappedMemory } from '../../src/memory/mapped-memory.ts';
import { LivePageCache } from '../../src/memory/page-cache.ts';
import type { PhysicalMemory } from '../../src/memory/physical-memory.ts';

const GIB = 2 ** 30;
/** `nopl 0(%rax,%rax)`, with which the functions of a 6.1 kernel begin. */
const NOP_LENGTH = 5n;

describe.each([
  { qemu: 'newest', sharedMemory: true, gdb: true },
  { qemu: 'newest', sharedMemory: false, gdb: false },
  { qemu: 'system', sharedMemory: true, gdb: false },
  { qemu: 'system', sharedMemory: false, gdb: true },
] as const)('QEMU $qemu, shared RAM $sharedMemory, gdb socket $gdb', ({ qemu, sharedMemory, gdb }) => {
  let guest: Guest;
  let name: string;
  let getpid: GuestVirtualAddress;

  beforeAll(async () => {
    guest = await bootGuest({ kernel: '6.1', qemu, cpus: 2, sharedMemory, gdb });
    name = `qemu:${guest.qmpSocket}`;
    getpid = await symbol(guest, '__x64_sys_getpid');
  });
  afterAll(() => guest?.[Symbol.asyncDispose]());

  test('attaches by the QMP socket alone, and says by what', async () => {
    await using machine = await attachQemu(name);
    expect(live(machine).hypervisor).toBe(`QEMU ${guest.qemu.version.split(' ')[0]} (TCG)`);
    expect(machine.memory).toBeInstanceOf(sharedMemory ? MappedMemory : LivePageCache);
    expect(machine.memory.contains(0, 256 * 2 ** 20)).toBe(true);
    expect(machine.memory.contains(256 * 2 ** 20, 1)).toBe(false);
  });

  test('sees what the guest writes, and the guest what is written', async () => {
    await using machine = await attachQemu(name);
    const { memory } = live(machine);
    await guest.writeFile('/tmp/needle', page('the needle of machine.test\n'));
    const places = [...find(memory, 'the needle of machine.test\n')];
    expect(places.length).toBeGreaterThan(0);
    for (const place of places) memory.write(place, Buffer.from('THE'));
    expect((await guest.run('head -n 1 /tmp/needle')).output).toBe('THE needle of machine.test\n');
  });

  test("reads the vCPUs' registers while the machine runs, the same as a debugger sees", async () => {
    await using machine = await attachQemu(name);
    const started = performance.now();
    const vcpus = await live(machine).readVcpus();
    expect(performance.now() - started).toBeLessThan(500);
    await using attached = await live(machine).debug();
    expect(vcpus).toHaveLength(2);
    for (const [index, { registers, idtBase }] of vcpus.entries()) {
      const others = await attached.readRegisters(index + 1);
      for (const register of ['efer', 'cr0', 'cr4'] as const) {
        expect(registers.get(register) | 0x80n).toBe(others.get(register) | 0x80n);
      }
      expect(idtBase >> 32n).toBe(0xffff_fe00n);
    }
  });

  test('stops at a breakpoint on either vCPU, and skips the NOP under it', async () => {
    await using machine = await attachQemu(name);
    await using attached = await live(machine).debug();
    expect(attached.vcpus).toEqual([1, 2]);
    await attached.insertBreakpoint(getpid);
    attached.resume();
    const done = Promise.all(
      [0, 1].map((cpu) => guest.run(`taskset -c ${cpu} sh -c 'echo alive on ${cpu}'`)),
    );
    const seen = new Set<number>();
    let hits = 0;
    const answering = answer(attached, (vcpu) => {
      seen.add(vcpu);
      hits++;
    });
    const results = await done;
    expect(results.map(({ output }) => output)).toEqual(['alive on 0\n', 'alive on 1\n']);
    await attached[Symbol.asyncDispose]();
    await answering;
    expect(hits).toBeGreaterThanOrEqual(2);
    expect([...seen].sort()).toEqual([1, 2]);
    const before = hits;
    expect((await guest.run('sh -c true')).status).toBe(0);
    expect(hits).toBe(before);
  });

  test('interrupts, steps, writes code and flushes, and the guest runs on unharmed', async () => {
    await using machine = await attachQemu(name);
    const attached = await live(machine).debug();
    for (let i = 0; i < 20; i++) {
      attached.resume();
      await attached.interrupt();
      expect((await attached.nextStop()).reason).toBe('interrupt');
    }
    await attached.flushTranslations();
    await attached.insertBreakpoint(getpid);
    attached.resume();
    const command = guest.run('sh -c true');
    const { vcpu } = await attached.nextStop();
    expect((await attached.step(vcpu)).get('rip')).toBe(getpid + NOP_LENGTH);
    await attached.writeCode(vcpu, getpid, Uint8Array.of(0x66, 0x66, 0x66, 0x66, 0x90));
    await attached.writeCode(vcpu, getpid, Uint8Array.of(0x0f, 0x1f, 0x44, 0x00, 0x00));
    await attached[Symbol.asyncDispose]();
    expect((await command).status).toBe(0);
    expect(guest.logProblems()).toEqual([]);
  });

  test('leaves QEMU as it was: running, its own debugger socket closed, no file behind', async () => {
    const chardevs = await monitor(guest, 'info chardev');
    const folders = ownFolders();
    const machine = await attachQemu(name);
    const attached = await live(machine).debug();
    await attached.insertBreakpoint(getpid);
    attached.resume();
    await machine[Symbol.asyncDispose]();
    expect(attached.running).toBe(false);
    expect(await monitor(guest, 'info status')).toContain('running');
    expect(ownFolders()).toEqual(folders);
    const left = await monitor(guest, 'info chardev');
    expect(lines(left)).toEqual(lines(chardevs));
  });

  test('a machine that was paused stays paused, and is taken over when it is run', async () => {
    await monitor(guest, 'stop');
    const machine = await attachQemu(name);
    const attached = await live(machine).debug();
    expect(await live(machine).readVcpus()).toHaveLength(2);
    attached.resume();
    await machine[Symbol.asyncDispose]();
    expect(await monitor(guest, 'info status')).toContain('paused');
    await monitor(guest, 'cont');
    expect((await guest.run('echo alive')).output).toBe('alive\n');
  });

  test('one debugger and one QMP client at a time, and another one after that', async () => {
    await using machine = await attachQemu(name);
    const first = await live(machine).debug();
    await expect(live(machine).debug()).rejects.toThrow(/is being debugged already/);
    await expect(attachQemu(name)).rejects.toThrow(/another client is connected/);
    await first[Symbol.asyncDispose]();
    await using second = await live(machine).debug();
    expect(second.vcpus).toEqual([1, 2]);
  });

  test.runIf(gdb)('a debugger of somebody else is not disturbed', async () => {
    const other = connect(guest.gdbSocket ?? '');
    await once(other, 'connect');
    await using machine = await attachQemu(name);
    await expect(live(machine).debug()).rejects.toThrow(/another debugger is connected to QEMU's gdbstub/);
    other.destroy();
    await machine[Symbol.asyncDispose]();
    await monitor(guest, 'cont');
  });

  test.runIf(gdb)('breakpoints that a debugger left behind when it died are taken away', async () => {
    const dead = await GdbClient.connect({ path: guest.gdbSocket ?? '' });
    await (await GdbStub.open(dead)).insertBreakpoint(getpid);
    dead.send('vCont;c');
    await dead.close();
    const stuck = guest.run('sh -c true');
    await expect.poll(() => monitor(guest, 'info status')).toContain('paused (debug)');
    await using machine = await attachQemu(name);
    await using attached = await live(machine).debug();
    attached.resume();
    expect((await stuck).status).toBe(0);
  });

  test('a QEMU that is killed in the middle is lost at once', async () => {
    const machine = await attachQemu(name);
    const attached = await live(machine).debug();
    attached.resume();
    const stop = attached.nextStop();
    const told = expect(stop).rejects.toThrow(TargetLostError);
    await sleep(50);
    const started = performance.now();
    process.kill(guest.qemuPid, 'SIGKILL');
    await told;
    await live(machine).gone;
    await expect(live(machine).readVcpus()).rejects.toThrow(TargetLostError);
    await machine[Symbol.asyncDispose]();
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe.each(['newest', 'system'] as const)('QEMU %s with somebody else at its monitor', (qemu) => {
  test('a pause by hand is no stop, and the debugger goes on after it', async () => {
    await using folder = await temporaryFolder();
    const second = join(folder.path, 'qmp.sock');
    await using guest = await bootGuest({
      kernel: '6.1',
      qemu,
      qemuArgs: ['-qmp', `unix:${second},server=on,wait=off`],
    });
    const getpid = await symbol(guest, '__x64_sys_getpid');
    await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
    await using attached = await live(machine).debug();
    await using other = await QmpClient.connect(second);
    await attached.insertBreakpoint(getpid);
    attached.resume();
    for (let i = 0; i < 5; i++) {
      await other.execute('stop');
      await sleep(50);
      expect(attached.running).toBe(true);
      await other.execute('cont');
    }
    await sleep(200);
    const command = guest.run('sh -c true');
    const { reason, vcpu } = await attached.nextStop();
    expect(reason).toBe('breakpoint');
    await other.execute('stop');
    await attached.removeBreakpoint(getpid);
    attached.resume(vcpu);
    expect((await command).status).toBe(0);
  });
});

test('RAM in a memfd is mapped', async () => {
  const qemuArgs = [
    '-object',
    'memory-backend-memfd,id=m0,size=256M,share=on',
    '-machine',
    'memory-backend=m0',
  ];
  await using guest = await bootGuest({ kernel: '6.1', sharedMemory: false, qemuArgs });
  await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
  expect(machine.memory).toBeInstanceOf(MappedMemory);
});

test('what the user names overrules what QEMU says, and is checked', async () => {
  await using folder = await temporaryFolder();
  const wrong = join(folder.path, 'ram');
  await writeFile(wrong, '');
  await truncate(wrong, 256 * 2 ** 20);
  await using guest = await bootGuest({ kernel: '6.1' });
  const socket = `qemu:${guest.qmpSocket}`;
  await using machine = await attachQemu(`${socket}?ram=${guest.ramFile}&gdb=${guest.gdbSocket}`);
  await using _ = await live(machine).debug();
  await machine[Symbol.asyncDispose]();
  await expect(attachQemu(`${socket}?ram=${wrong}`)).rejects.toThrow(/is not the RAM of this guest/);
  await expect(attachQemu(`${socket}?ram=/no/such/file`)).rejects.toThrow(TargetError);
});

describe('RAM of 5 GiB on a q35', () => {
  test.each([true, false])('is split at 2 GiB; shared: %s', async (sharedMemory) => {
    await using guest = await bootGuest({ kernel: '6.1', qemu: 'newest', memory: 5120, sharedMemory });
    await using machine = await attachQemu(`qemu:${guest.qmpSocket}`);
    expect(machine.memory.ranges.map(({ start, size }) => [start, size])).toEqual([
      [0, 2 * GIB],
      [4 * GIB, 3 * GIB],
    ]);
    await guest.writeFile('/tmp/needle', page('a needle above 4 GiB\n'));
    const places = [...find(machine.memory, 'a needle above 4 GiB\n', 4 * GIB)];
    expect(places.length).toBeGreaterThan(0);
    const { output } = await guest.run('grep "System RAM" /proc/iomem');
    expect(output.split('\n').some((line) => line.startsWith('100000000-1bfffffff'))).toBe(true);
  });
});

describe('what cannot be attached to', () => {
  test.each([
    ['qemu:/no/such/socket', UsageError, /there is no socket/],
    ['qemu:/proc/self/status', UsageError, /is not a socket/],
    ['qemu:', UsageError, /names no machine/],
  ])('%s', async (name, kind, message) => {
    await expect(attachQemu(name)).rejects.toThrow(kind);
    await expect(attachQemu(name)).rejects.toThrow(message);
  });
});

function live(machine: Machine): LiveMachine {
  if (machine.live === undefined) throw new Error('the machine is not live');
  return machine.live;
}

async function symbol(guest: Guest, name: string): Promise<GuestVirtualAddress> {
  const { output } = await guest.run(`grep ' ${name}$' /proc/kallsyms`);
  return gva(BigInt(`0x${output.split(' ')[0]}`));
}

/** Lets every stop go on behind its NOP, until the debugger is detached. */
async function answer(attached: Debugger, stopped: (vcpu: number) => void): Promise<void> {
  try {
    for (;;) {
      const { vcpu, registers } = await attached.nextStop();
      stopped(vcpu);
      attached.resume(vcpu, { rip: registers.get('rip') + NOP_LENGTH });
    }
  } catch (error) {
    expect(error).toBeInstanceOf(TargetLostError);
  }
}

/** A page that begins with a text. */
function page(text: string): Uint8Array {
  return Buffer.concat([Buffer.from(text), Buffer.alloc(4096 - text.length, '.')]);
}

/** Where in memory pages begin with a text. */
function* find(memory: PhysicalMemory, text: string, from = 0): Generator<number> {
  const wanted = Buffer.from(text);
  const block = Buffer.alloc(4 * 2 ** 20);
  for (const { start, size } of memory.ranges) {
    for (let at = start as number; at < start + size; at += block.length) {
      if (at < from) continue;
      const part = block.subarray(0, Math.min(block.length, start + size - at));
      memory.read(at, part);
      for (let offset = 0; offset < part.length; offset += 4096) {
        if (part.subarray(offset, offset + text.length).equals(wanted)) yield at + offset;
      }
    }
  }
}

/** Says a line to the monitor, on a connection of its own. */
async function monitor(guest: Guest, line: string): Promise<string> {
  await using qmp = await QmpClient.connect(guest.qmpSocket);
  return await qmp.monitor(line);
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'underwatch-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

function ownFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => /^underwatch-gdb-/.test(name));
}

/** Without the monitor terminal that QEMU makes for its first gdbstub, and keeps. */
function lines(chardevs: string): string[] {
  return chardevs
    .split('\n')
    .filter((line) => !line.includes('filename=gdb'))
    .sort();
}

import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { KernelEntry } from '../../../src/analysis/emulator/cpu.ts';
import { Emulator } from '../../../src/analysis/emulator/emulator.ts';
import { ZeroSnapshot } from '../../../src/analysis/emulator/memory/snapshot.ts';
import { R8, R9, R10, RAX, RBP, RBX, RCX, RDI, RDX, RSI } from '../../../src/analysis/emulator/registers.ts';
import { type Abi, describeCall } from '../../../src/analysis/system-calls/call.ts';
import { findChains } from '../../../src/analysis/system-calls/chains.ts';
import { KernelModel } from '../../../src/analysis/system-calls/kernel.ts';
import { systemCallName, systemCallNumber } from '../../../src/analysis/system-calls/table.ts';

const DATA = 0x10000;
const emulator = new Emulator();
afterAll(() => emulator[Symbol.dispose]());
let kernel: KernelModel;

function fresh(bits: 32 | 64): void {
  emulator.reset(new ZeroSnapshot(DATA, DATA + 0x4000), bits);
  kernel = new KernelModel(emulator.cpu);
}

function poke(address: number, content: string | Uint8Array): number {
  const data = typeof content === 'string' ? Buffer.from(`${content}\0`) : content;
  emulator.memory.poke(0, address, data);
  return address;
}

const ORDER: Readonly<Record<Abi, readonly number[]>> = {
  x64: [RDI, RSI, RDX, R10, R8, R9],
  x32: [RDI, RSI, RDX, R10, R8, R9],
  i386: [RBX, RCX, RDX, RSI, RDI, RBP],
};

/** Makes a call by name; returns RAX as a signed number, or how the run ended. */
function call(abi: Abi, name: string, ...words: readonly number[]): number | string {
  const number = systemCallNumber(abi, name) ?? Number(name);
  emulator.cpu.set(RAX, number | (abi === 'x32' ? 0x4000_0000 : 0), 0);
  words.forEach((word, index) => {
    emulator.cpu.set(ORDER[abi][index] ?? 0, word | 0, word < 0 ? -1 : Math.floor(word / 2 ** 32) | 0);
  });
  const entry: KernelEntry = abi === 'i386' ? 'int 0x80' : 'syscall';
  const stop = kernel.enter(entry);
  if (stop !== undefined) return stop.kind === 'ended' ? stop.by : stop.kind;
  return emulator.cpu.high(RAX) * 2 ** 32 + (emulator.cpu.low(RAX) >>> 0);
}

function last(): string {
  const found = kernel.calls.at(-1);
  return found === undefined ? '' : describeCall(found);
}

describe('the table of numbers', () => {
  test.each([
    ['x64', 59, 'execve'],
    ['x64', 322, 'execveat'],
    ['x64', 462, 'mseal'],
    ['i386', 11, 'execve'],
    ['i386', 102, 'socketcall'],
    ['i386', 359, 'socket'],
    ['x32', 520, 'execve'],
    ['x32', 1, 'write'],
    ['x64', 600, undefined],
  ] as const)('%s %i is %s', (abi, number, name) => {
    expect(systemCallName(abi, number)).toBe(name);
  });
});

describe('the kernel model', () => {
  beforeEach(() => fresh(64));

  test('decodes paths, strings and flags', () => {
    poke(DATA, '/etc/passwd');
    expect(call('x64', 'open', DATA, 0x441, 0o644)).toBe(3);
    expect(last()).toBe('open("/etc/passwd", O_WRONLY|O_CREAT|O_APPEND, 0644) = 3');
    poke(DATA + 0x100, 'a\x01"b');
    call('x64', 'write', 3, DATA + 0x100, 4);
    expect(last()).toBe('write(3, "a\\x01\\x22b", 4) = 4');
    call('x64', 'mmap', 0, 0x2000, 7, 0x22, -1, 0);
    expect(last()).toContain('PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0');
  });

  test('gives descriptors in order, and reuses closed ones', () => {
    expect(call('x64', 'socket', 2, 1, 0)).toBe(3);
    expect(call('x64', 'dup', 3)).toBe(4);
    call('x64', 'close', 3);
    expect(call('x64', 'memfd_create', poke(DATA, 'x'), 1)).toBe(3);
  });

  test('maps memory that can be used', () => {
    const address = call('x64', 'mmap', 0, 0x1000, 3, 0x22, -1, 0) as number;
    expect(emulator.memory.readable(Math.floor(address / 2 ** 32), address | 0)).toBe(true);
    expect(call('x64', 'mmap', 0x50_0000, 0x1000, 3, 0x32, -1, 0)).toBe(0x50_0000);
    expect(emulator.memory.readable(0, 0x50_0000)).toBe(true);
  });

  test('answers EFAULT where memory cannot be read, and ENOSYS to what Linux does not know', () => {
    expect(call('x64', 'access', 0x900_0000, 0)).toBe(-14);
    expect(call('x64', 'access', DATA, 0)).toBe(-2);
    expect(call('x64', '1000', 0)).toBe(-38);
    expect(kernel.calls.at(-1)?.name).toBe('syscall_1000');
    expect(call('x64', 'execve', 0x900_0000, 0, 0)).toBe(-14);
  });

  test('knows the x32 ABI', () => {
    poke(DATA, '/bin/sh');
    expect(call('x32', 'execve', DATA, 0, 0)).toBe('execve');
    expect(kernel.calls[0]).toMatchObject({ name: 'execve', abi: 'x32', number: 520 });
  });

  test('knows i386 from 64-bit code, and its narrow argv', () => {
    poke(DATA, '/bin/sh');
    poke(DATA + 0x40, new Uint8Array(Uint32Array.of(DATA, 0).buffer));
    expect(call('i386', 'execve', DATA, DATA + 0x40, 0)).toBe('execve');
    expect(last()).toBe('execve("/bin/sh", ["/bin/sh"], NULL)');
  });

  test('takes socketcall apart', () => {
    fresh(32);
    poke(DATA, new Uint8Array(Uint32Array.of(2, 1, 0).buffer));
    expect(call('i386', 'socketcall', 1, DATA)).toBe(3);
    poke(DATA + 0x40, Uint8Array.of(2, 0, 0x11, 0x5c, 10, 0, 0, 7));
    poke(DATA, new Uint8Array(Uint32Array.of(3, DATA + 0x40, 16).buffer));
    expect(call('i386', 'socketcall', 3, DATA)).toBe(0);
    expect(last()).toBe('connect(3, 10.0.0.7:4444, 16) = 0');
  });

  test('ends with exit, and keeps no more calls than it should', () => {
    expect(call('x64', 'exit', 0)).toBe('exit');
    for (let i = 0; i < 1000; i++) call('x64', 'getpid');
    expect(kernel.calls.length).toBe(512);
    expect(kernel.count).toBe(1001);
  });

  test('a file ends after one read, a terminal does not at once', () => {
    const fd = call('x64', 'open', poke(DATA, '/flag'), 0, 0) as number;
    expect(call('x64', 'read', fd, DATA + 0x200, 64)).toBe(64);
    expect(call('x64', 'read', fd, DATA + 0x200, 64)).toBe(0);
    expect(call('x64', 'read', 0, DATA + 0x200, 64)).toBe(64);
    expect(call('x64', 'read', 0, DATA + 0x200, 64)).toBe(64);
  });

  test.each([
    ['setuid', [0], 'privilege change'],
    ['capset', [DATA, DATA], 'privilege change'],
    ['init_module', [DATA, 16, DATA], 'kernel-module load'],
    ['process_vm_writev', [1, DATA, 1, DATA, 1, 0], 'process injection'],
    ['ptrace', [16, 77, 0, 0], 'process injection'],
  ] as const)('%s is a %s', (name, words, chain) => {
    call('x64', name, ...words);
    expect(findChains(kernel, false).map((found) => found.name)).toEqual([chain]);
  });

  test.each(['getuid', 'getpid', 'brk', 'nanosleep', 'ptrace'])('%s alone is nothing', (name) => {
    call('x64', name, 0, 0, 0);
    expect(findChains(kernel, false)).toEqual([]);
  });

  test.each([
    ['setuid', [1000]],
    ['setresuid', [-1, 1000, 1000]],
    ['setgroups', [0, 0]],
  ])('%s that gives privileges up is nothing', (name, words) => {
    call('x64', name, ...words);
    expect(findChains(kernel, false)).toEqual([]);
  });

  test('taking the real id gives privileges up, taking the effective one does not', () => {
    call('x64', 'setuid', call('x64', 'getuid') as number);
    expect(findChains(kernel, false)).toEqual([]);
    call('x64', 'setuid', call('x64', 'geteuid') as number);
    expect(findChains(kernel, false)).toMatchObject([{ name: 'privilege change' }]);
  });

  test('a lock file in /etc is no persistence', () => {
    call('x64', 'open', poke(DATA, '/etc/.pwd.lock'), 1, 0);
    expect(findChains(kernel, false)).toEqual([]);
  });

  test('four probes in a row are an egg hunt, three are not', () => {
    for (let i = 0; i < 3; i++) call('x64', 'access', 0x900_0000 + i * 0x1000, 0);
    expect(findChains(kernel, false)).toEqual([]);
    call('x64', 'access', 0x900_3000, 0);
    expect(findChains(kernel, false)[0]?.name).toBe('egg hunt');
  });

  test('reading a file is no persistence, writing it is', () => {
    call('x64', 'open', poke(DATA, '/etc/passwd'), 0, 0);
    expect(findChains(kernel, false)).toEqual([]);
    call('x64', 'open', poke(DATA, '/etc//./passwd'), 2, 0);
    expect(findChains(kernel, false)[0]?.name).toBe('persistence');
  });
});

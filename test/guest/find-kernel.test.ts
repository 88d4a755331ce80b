import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest, type GuestOptions } from '../../lab/guest.ts';
import { findKernel } from '../../src/linux/find-kernel.ts';
import type { Kernel } from '../../src/linux/kernel.ts';
import { kernelFacts } from '../../src/linux/kernel-facts.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { attachQemu } from '../../src/machine/qemu/attach.ts';
import { kernelsUnderTest } from '../support/kernels.ts';

interface Case extends GuestOptions {
  readonly name: string;
  readonly levels?: 5;
  readonly kpti?: true;
  /** What runs in user mode while the registers are read. */
  readonly busy?: string;
}

const LOOP = 'while :; do :; done';
/** Half of 256 MiB lies above 4 GiB. */
const SPLIT = ['-machine', 'max-ram-below-4g=128M'];

const CASES: Case[] = kernelsUnderTest().flatMap((kernel) => [
  { name: `Linux ${kernel}`, kernel },
  { name: `Linux ${kernel} on two vCPUs of the newest QEMU`, kernel, qemu: 'newest', cpus: 2 },
]);
if (kernelsUnderTest().includes('6.1')) {
  CASES.push(
    { name: '5-level paging', kernel: '6.1', cpu: 'max', levels: 5 },
    { name: 'KPTI, in user mode', kernel: '6.1', cpu: 'Nehalem', kpti: true, busy: LOOP },
    { name: 'no KASLR', kernel: '6.1', commandLine: 'nokaslr' },
    { name: 'RAM above 4 GiB', kernel: '6.1', qemuArgs: SPLIT },
  );
}

describe.each(CASES)('the kernel of a running guest: $name', (options) => {
  let guest: Guest;
  let machine: Machine;
  let byRegisters: Kernel;
  let byMemory: Kernel;

  beforeAll(async () => {
    guest = await bootGuest(options);
    if (options.busy !== undefined) await guest.spawn(options.busy);
    machine = await attachQemu(`qemu:${guest.qmpSocket}`);
    byRegisters = findKernel(machine.memory, { vcpus: (await machine.live?.readVcpus()) ?? [] });
    byMemory = findKernel(machine.memory);
  });
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
  });

  test('is the same by registers and from memory alone', () => {
    expect(byRegisters.found.method).toBe('registers');
    expect(byMemory.found.method).toBe('memory');
    expect(steadyFacts(byMemory)).toEqual(steadyFacts(byRegisters));
    expect(byMemory.layout).toEqual(byRegisters.layout);
  });

  test('has the symbols that the guest itself lists', async () => {
    const listed = (await guest.readFile('/proc/kallsyms')).toString().trimEnd().split('\n');
    const own = listed.filter((line) => !line.includes('\t['));
    const found: string[] = [];
    for (const { address, type, name } of byRegisters.symbols.entries()) {
      found.push(`${address.toString(16).padStart(16, '0')} ${type} ${name}`);
    }
    expect(found).toEqual(own);
  });

  test('is told as the guest tells it', async () => {
    const facts = kernelFacts(byRegisters);
    expect(facts.banner).toBe((await guest.run('cat /proc/version')).output.trim());
    expect(facts.release).toBe((await guest.run('uname -r')).output.trim());
    expect(facts.hostName).toBe((await guest.run('cat /proc/sys/kernel/hostname')).output.trim());
    expect(facts.onlineCpus).toBe(options.cpus ?? 1);
    expect(facts.memoryBytes).toBe(256 * 2 ** 20);
    expect(facts.pagingLevels).toBe(options.levels ?? 4);
    const bootId = (await guest.run('cat /proc/sys/kernel/random/boot_id')).output.trim();
    expect(kernelFacts(byRegisters).bootId).toBe(bootId);
    if (options.commandLine === 'nokaslr') expect(facts.kaslrSlide).toBe(0n);
  });

  test('is isolated by KPTI where the guest says so', async () => {
    const meltdown = (await guest.run('cat /sys/devices/system/cpu/vulnerabilities/meltdown')).output.trim();
    expect(kernelFacts(byRegisters).kpti).toBe(meltdown.includes('PTI'));
    if (options.kpti) expect(meltdown).toContain('PTI');
  });

  test('tells the time', async () => {
    const [uptime = '', now = ''] = (await guest.run('cat /proc/uptime; date +%s')).output.split('\n');
    const facts = kernelFacts(byRegisters);
    expect(Math.abs((facts.uptime ?? 0) - Number.parseFloat(uptime))).toBeLessThan(5);
    expect(Math.abs((facts.guestTime ?? 0) / 1000 - Number(now))).toBeLessThan(5);
  });
});

/** The facts that do not change while the guest runs. */
function steadyFacts(kernel: Kernel) {
  const { uptime, guestTime, bootId, ...steady } = kernelFacts(kernel);
  return steady;
}

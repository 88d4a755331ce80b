import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from '../../lab/guest.ts';
import {
  forEachVma,
  formatMapsRow,
  mapsOf,
  openTarget,
  processesOf,
  type Target,
  threadsOf,
  VmFlag,
  vmasOf,
} from '../../src/index.ts';
import { QmpClient } from '../../src/machine/qemu/qmp.ts';

/** More VMAs than are read in one go. */
const WORKLOAD = '3 10 1000';

describe('the library, on an image', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'underwatch-library-'));
  let target: Target;
  let init: string[];

  beforeAll(async () => {
    await using guest = await bootGuest({ kernel: '6.1' });
    const program = await guest.spawn(`/lab/helper/many_vmas ${WORKLOAD}`);
    while (!program.output().includes('many_vmas ready')) await new Promise(setImmediate);
    init = (await guest.readFile('/proc/1/maps')).toString().trimEnd().split('\n');
    await using qmp = await QmpClient.connect(guest.qmpSocket);
    await qmp.execute('stop');
    const file = path.join(folder, 'image');
    await qmp.execute('dump-guest-memory', { protocol: `file:${file}`, paging: false }, 120_000);
    target = await openTarget(file);
  });
  afterAll(async () => {
    await target?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const count = (name: string) => processesOf(target).filter(({ comm }) => comm === name).length;

  /** The process with the most VMAs. */
  const largest = () => {
    const processes = processesOf(target);
    const sizes = processes.map((process) => [...vmasOf(target, process)].length);
    return processes[sizes.indexOf(Math.max(...sizes))];
  };

  test('says what it found, and how', () => {
    expect(target.image?.format).toBe('ELF core');
    expect(target.kernel.release).toMatch(/^6\.1\./);
    expect(target.kernel.found.method).toBe('registers');
  });

  test('lists processes and their threads', () => {
    expect(count('many_vmas')).toBe(4);
    const [process] = processesOf(target);
    if (process === undefined) throw new Error('no process');
    expect(process.pid).toBe(1);
    expect(threadsOf(target, process).map(({ pid }) => pid)).toContain(1);
  });

  test('gives the rows of /proc/PID/maps', () => {
    const [process] = processesOf(target);
    if (process === undefined) throw new Error('no process');
    expect(mapsOf(target, process).rows.map(formatMapsRow)).toEqual(init);
  });

  test('iterates over VMAs, one by one or by a cursor, and both see the same', () => {
    const process = largest();
    if (process === undefined) throw new Error('no process');
    const seen: bigint[] = [];
    for (const vma of vmasOf(target, process)) seen.push(vma.start);
    const visited: bigint[] = [];
    const cut = forEachVma(target, process, ({ startHigh, startLow }) => {
      visited.push((BigInt(startHigh) << 32n) | BigInt(startLow));
    });
    expect(cut).toBeUndefined();
    expect(seen.length).toBeGreaterThan(1000);
    expect(visited).toEqual(seen);
  });

  test('stops where the caller has seen enough', () => {
    const process = largest();
    if (process === undefined) throw new Error('no process');
    let visits = 0;
    forEachVma(target, process, ({ flagsLow }) => {
      visits++;
      return (flagsLow & VmFlag.exec) === 0;
    });
    expect(visits).toBeLessThan(10);
    const [first] = vmasOf(target, process);
    expect(first?.start).toBe(0x40_0000n);
  });
});

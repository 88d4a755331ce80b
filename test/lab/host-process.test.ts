import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LabError } from '../../lab/errors.ts';
import { HostProcess } from '../../lab/host-process.ts';

let parent = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'underwatch-host-'));
});
afterEach(() => rmSync(parent, { recursive: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function becomesTrue(condition: () => boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (condition()) return true;
    await delay(20);
  }
  return false;
}

describe('a process on the host', () => {
  test('goes away with its folder when it is stopped, and may be stopped twice', async () => {
    const host = await HostProcess.start(parent, async () => ['sleep', '1000']);
    expect(isAlive(host.pid)).toBe(true);
    expect(existsSync(host.folder)).toBe(true);
    await Promise.all([host.stop(), host.stop()]);
    expect(isAlive(host.pid)).toBe(false);
    expect(readdirSync(parent)).toEqual([]);
  });

  test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
    'goes away when its owner ends by %s',
    async (signal) => {
      const script = `
      const { HostProcess } = await import(${JSON.stringify(join(import.meta.dirname, '../../lab/host-process.ts'))});
      const host = await HostProcess.start(${JSON.stringify(parent)}, async () => ['sleep', '1000']);
      console.log(host.pid);`;
      const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(owner.stdout, 'data');
      const pid = Number(String(line));
      expect(isAlive(pid)).toBe(true);
      expect(readdirSync(parent)).toHaveLength(1);
      owner.kill(signal);
      expect(await becomesTrue(() => !isAlive(pid))).toBe(true);
      expect(await becomesTrue(() => readdirSync(parent).length === 0)).toBe(true);
    },
  );

  test('leaves nothing when it cannot be started', async () => {
    await expect(HostProcess.start(parent, async () => ['/no/such/program'])).rejects.toThrow(LabError);
    expect(await becomesTrue(() => readdirSync(parent).length === 0)).toBe(true);
  });

  test('tells what it complained of when it ended by itself', async () => {
    const host = await HostProcess.start(parent, async () => [
      'sh',
      '-c',
      'echo no such machine >&2; exit 1',
    ]);
    expect(await host.ended).toBe('no such machine');
    await host.stop();
  });
});

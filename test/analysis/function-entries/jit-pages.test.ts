import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DEFAULT_BUDGET, Judge } from '../../../src/analysis/judge.ts';
import { LiveProcess } from './live-process.ts';

const PAGES = 500;

/** Addresses of compiled functions, from the map that V8 writes for perf. */
function entries(folder: string): number[] {
  const [file = ''] = readdirSync(folder).filter((name) => name.endsWith('.map'));
  const lines = readFileSync(join(folder, file), 'utf8').trim().split('\n');
  return lines.map((line) => Number.parseInt(line.split(' ')[0] ?? '', 16));
}

test('code made by a real JIT is not malicious', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'underwatch-jit-'));
  const child = fork(join(import.meta.dirname, 'jit-program.mjs'), {
    execArgv: ['--perf-basic-prof', `--perf-basic-prof-path=${folder}`, '--sparkplug', '--always-sparkplug'],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  try {
    await once(child, 'message');
    using process = await LiveProcess.start(child);
    using judge = new Judge();
    const [snapshot, registers, stack] = [process.snapshot(), process.registers(), process.stack()];
    const addresses = entries(folder).filter((address) => process.isJitCode(address));
    const pages = new Set(addresses.map((address) => Math.floor(address / 4096)));
    const verdicts = { benign: 0, suspicious: 0, malicious: 0 };
    const reasons: string[] = [];
    for (const address of addresses) {
      registers.set('rip', BigInt(address));
      const judgement = judge.judge({ bits: 64, registers, snapshot, stack, budget: DEFAULT_BUDGET });
      verdicts[judgement.verdict]++;
      if (judgement.verdict === 'malicious') reasons.push(judgement.reasons.join('; '));
    }
    console.log(
      `${addresses.length} entries on ${pages.size} pages of V8's code: ${JSON.stringify(verdicts)}`,
    );
    expect(pages.size).toBeGreaterThanOrEqual(PAGES);
    expect(reasons).toEqual([]);
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  }
}, 180_000);

import { realpathSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { Judge, type Judgement } from '../../../src/analysis/judge.ts';
import { describeCall } from '../../../src/analysis/system-calls/call.ts';
import { LiveProcess } from './live-process.ts';

const FOLDER = '/lib/x86_64-linux-gnu';
const LIBRARIES = ['libc.so.6', 'libcrypto.so.3', 'libstdc++.so.6'].map((name) =>
  realpathSync(`${FOLDER}/${name}`),
);
const BUDGET = 20_000;
/** A function whose first system call lies this close behind its entry is a bare stub of it. */
const STUB_BYTES = 128;

const judge = new Judge();
afterAll(() => judge[Symbol.dispose]());

/** `setns`, `init_module`: nothing but the one call. */
function isStub(judgement: Judgement, entry: number): boolean {
  const [call] = judgement.systemCalls;
  const distance = Number((call?.address ?? 0n) - BigInt(entry));
  return distance >= 0 && distance < STUB_BYTES;
}

test('functions of libraries are not malicious for being run', async () => {
  using process = await LiveProcess.withLibraries(LIBRARIES);
  const [snapshot, registers, stack] = [process.snapshot(), process.registers(), process.stack()];
  const counts = { benign: 0, suspicious: 0, malicious: 0 };
  const stubs: string[] = [];
  const malicious: string[] = [];
  for (const library of LIBRARIES) {
    for (const { name, address } of process.functions(library)) {
      registers.set('rip', BigInt(address));
      const judgement = judge.judge({ bits: 64, registers, snapshot, stack, budget: BUDGET });
      if (judgement.verdict === 'malicious' && isStub(judgement, address)) {
        stubs.push(name);
        continue;
      }
      counts[judgement.verdict]++;
      if (judgement.verdict !== 'malicious') continue;
      const calls = judgement.systemCalls.map(describeCall).join(', ');
      malicious.push(`${name}: ${judgement.reasons.join('; ')} | ${calls}`);
    }
  }
  const total = counts.benign + counts.suspicious + counts.malicious;
  console.log(`${total} functions: ${JSON.stringify(counts)}, bare stubs apart: ${stubs.join(' ')}`);
  console.log(malicious.join('\n'));
  expect(total).toBeGreaterThanOrEqual(5000);
  expect(counts.malicious).toBeLessThanOrEqual(total / 1000);
}, 300_000);

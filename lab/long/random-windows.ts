import { Judge } from '../../src/analysis/judge.ts';
import { rawCodeInput } from '../../src/analysis/raw-code.ts';
import { Random } from '../random.ts';
import type { LongTest } from './long-test.ts';

const BUDGET = 1000;

/** What judging random bytes came to. */
export interface WindowCounts {
  readonly verdicts: Readonly<Record<string, number>>;
  readonly stops: Readonly<Record<string, number>>;
  /** Growth of the process from the first tenth to the end, in bytes. */
  readonly growth: number;
}

/** Judges windows of random bytes, half of them in each mode; throws what the judge throws, with the bytes. */
export function judgeRandomWindows(count: number, seed: number): WindowCounts {
  using judge = new Judge();
  const random = new Random(seed);
  const verdicts: Record<string, number> = {};
  const stops: Record<string, number> = {};
  let early = 0;
  for (let i = 0; i < count; i++) {
    if (i === Math.floor(count / 10)) early = process.memoryUsage.rss();
    const code = random.bytes(16 + random.below(240));
    const bits = random.chance(0.5) ? 64 : 32;
    try {
      const judgement = judge.judge({ ...rawCodeInput(code, bits), budget: BUDGET });
      verdicts[judgement.verdict] = (verdicts[judgement.verdict] ?? 0) + 1;
      stops[judgement.stop.kind] = (stops[judgement.stop.kind] ?? 0) + 1;
      if (judgement.instructions > BUDGET) throw new Error(`ran ${judgement.instructions} instructions`);
    } catch (cause) {
      throw new Error(`seed ${seed}, window ${i}, ${bits} bits: ${Buffer.from(code).toString('hex')}`, {
        cause,
      });
    }
  }
  return { verdicts, stops, growth: process.memoryUsage.rss() - early };
}

const FULL_COUNT = 10_000_000;
const BATCH = 250_000;
/** Random bytes hardly ever look like an attack: one in a thousand at most. */
const MOST_MALICIOUS = 0.001;
const MOST_GROWTH = 256 * 1024 * 1024;

export const RANDOM_WINDOWS: LongTest = {
  name: 'random-windows',
  summary: `the judge throws nothing and leaks nothing on ${FULL_COUNT} windows of random bytes`,
  async run(seed, print) {
    const total: Record<string, number> = {};
    const before = process.memoryUsage.rss();
    let growth = 0;
    for (let done = 0; done < FULL_COUNT; done += BATCH) {
      const { verdicts } = judgeRandomWindows(BATCH, seed + done);
      for (const [verdict, count] of Object.entries(verdicts)) total[verdict] = (total[verdict] ?? 0) + count;
      growth = process.memoryUsage.rss() - before;
      print(`${done + BATCH} windows: ${JSON.stringify(total)}, memory grew by ${growth >> 20} MiB`);
    }
    return (total.malicious ?? 0) <= FULL_COUNT * MOST_MALICIOUS && growth < MOST_GROWTH;
  },
};

import { Judge } from '../../src/analysis/judge.ts';
import { rawCodeInput } from '../../src/analysis/raw-code.ts';
import { Random } from './emulator/differential/random.ts';

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

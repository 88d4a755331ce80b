import { expect, test } from 'vitest';
import { judgeRandomWindows } from '../../lab/long/random-windows.ts';

const WINDOWS = 40_000;
const SEED = 5;

test('random bytes throw nothing, leak nothing, and are hardly ever malicious', () => {
  const { verdicts, stops, growth } = judgeRandomWindows(WINDOWS, SEED);
  console.log(`${WINDOWS} windows, seed ${SEED}: ${JSON.stringify(verdicts)} ${JSON.stringify(stops)}`);
  expect(verdicts.malicious ?? 0).toBeLessThan(WINDOWS / 1000);
  expect(growth).toBeLessThan(100 * 1024 * 1024);
}, 120_000);

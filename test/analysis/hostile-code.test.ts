import { expect, test } from 'vitest';
import { judgeHostileCode } from '../../lab/long/hostile-code.ts';

const SEED = 5;

test('hostile code ends within its budget', async () => {
  const lines: string[] = [];
  const isFine = await judgeHostileCode(1, SEED, (line) => lines.push(line));
  console.log(lines.join('\n'));
  expect(isFine).toBe(true);
}, 120_000);

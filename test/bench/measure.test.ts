import { expect, test } from 'vitest';
import { outputOf, peakAnonymousMemory, wallTime } from '../../bench/images/measure.ts';

const node = (script: string) => ({ command: process.execPath, args: ['-e', script] });

test('wall time is that of the whole process', async () => {
  const milliseconds = await wallTime(node('setTimeout(() => {}, 300)'));
  expect(milliseconds).toBeGreaterThan(300);
});

test('anonymous memory is what the process holds, not what it maps', async () => {
  const keep = 'const held = Buffer.alloc(200 * 2 ** 20, 1); setTimeout(() => held, 200)';
  const peak = await peakAnonymousMemory(node(keep));
  expect(peak).toBeGreaterThan(200);
  expect(peak).toBeLessThan(400);
});

test('output is all that was printed, and a failure is none', async () => {
  expect(await outputOf({ ...node('console.log(process.env.WORD)'), env: { WORD: 'ready' } })).toBe(
    'ready\n',
  );
  await expect(wallTime(node('process.exit(3)'))).rejects.toThrow('ended with status 3');
  await expect(outputOf(node('process.exit(3)'))).rejects.toThrow('ended with status 3');
});

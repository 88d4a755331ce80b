import { HOSTILE_CODE } from './long/hostile-code.ts';
import type { LongTest } from './long/long-test.ts';
import { RANDOM_WINDOWS } from './long/random-windows.ts';

/** `npm run long -- NAME [--seed S]`: a test at its full count; exits with 1 when it fails. */
const TESTS: readonly LongTest[] = [HOSTILE_CODE, RANDOM_WINDOWS];
const USAGE = [
  'usage: npm run long -- NAME [--seed S]',
  ...TESTS.map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}`),
].join('\n');

const [name, option, value, ...more] = process.argv.slice(2);
const chosen = TESTS.find((test) => test.name === name);
const seed = option === undefined ? Date.now() % 1_000_000_007 : seedOf(option, value);
if (chosen === undefined || seed === undefined || more.length > 0) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  console.log(`${chosen.name}, seed ${seed}`);
  const started = performance.now();
  const isFine = await chosen.run(seed, (line) => console.log(line));
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`${chosen.name}: ${isFine ? 'holds' : 'DOES NOT HOLD'} after ${seconds} s, seed ${seed}`);
  process.exitCode = isFine ? 0 : 1;
}

function seedOf(option: string, value: string | undefined): number | undefined {
  return option === '--seed' && /^\d{1,10}$/.test(value ?? '') ? Number(value) : undefined;
}

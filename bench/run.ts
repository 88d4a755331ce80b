import { readdirSync } from 'node:fs';
import { type Bench, claimLine, holds } from './claim.ts';

/** `npm run bench -- NAME`: runs one file of this folder and prints a line a claim; exits with 1 if any falls short. */
const HELPERS = new Set(['claim', 'run']);
const names = readdirSync(new URL('.', import.meta.url))
  .filter((file) => /^[a-z-]+\.[jt]s$/.test(file) && !file.endsWith('.d.ts'))
  .map((file) => file.slice(0, -3))
  .filter((name) => !HELPERS.has(name))
  .sort();

const [name = ''] = process.argv.slice(2);
if (names.includes(name)) {
  const extension = import.meta.url.slice(-2);
  const { bench }: { bench: Bench } = await import(`./${name}.${extension}`);
  const claims = await bench((line) => console.log(line));
  for (const claim of claims) console.log(claimLine(name, claim));
  process.exitCode = claims.length > 0 && claims.every(holds) ? 0 : 1;
} else {
  console.error(`npm run bench -- NAME, with NAME one of: ${names.join(', ') || 'none yet'}`);
  process.exitCode = 2;
}

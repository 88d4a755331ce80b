import { type Cut, describeCut } from '../linux/cut.ts';
import { printable } from './output.ts';

/** Tells people something on stderr, where it does not mix with results. */
export function note(text: string): void {
  process.stderr.write(`underwatch: ${printable(text)}\n`);
}

/** Reports what is missing from a result. */
export function noteCuts(what: string, cuts: readonly Cut[]): void {
  for (const cut of cuts) note(`${what} ${describeCut(cut)}`);
}

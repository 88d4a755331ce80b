/** One measured claim of a bench, against its bound. */
export interface Claim {
  readonly metric: string;
  readonly value: number;
  readonly bound: number;
  /** Whether the value must stay at or below the bound, or reach it. */
  readonly kind: 'at most' | 'at least';
}

/** What every file of `bench/` exports: measures both sides interleaved, reports what it sees, gives its claims. */
export type Bench = (report: (line: string) => void) => Promise<readonly Claim[]>;

/** Whether a claim holds. */
export function holds(claim: Claim): boolean {
  return claim.kind === 'at most' ? claim.value <= claim.bound : claim.value >= claim.bound;
}

/** `overhead fork_exec_ratio 1.004 1.01 ok`: the closing line of a claim. */
export function claimLine(name: string, claim: Claim): string {
  return [
    name,
    claim.metric,
    significant(claim.value),
    significant(claim.bound),
    holds(claim) ? 'ok' : 'short',
  ].join(' ');
}

/** The middle value; of an even count, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function significant(value: number): string {
  return String(Number(value.toPrecision(4)));
}

import type { CodeReport } from '../alerts/code-report.ts';
import { report } from '../analysis/analyze.ts';
import { DEFAULT_BUDGET, Judge, type Judgement } from '../analysis/judge.ts';
import type { RuleScanner } from '../analysis/rules/scanner.ts';
import type { RegionFacts } from '../analysis/verdict.ts';
import { type AddressRange, type ExecutionEvidence, inRange } from './evidence.ts';

/** What the rule for the process, and the checks, say beforehand. */
export interface CodeContext {
  readonly region: RegionFacts;
  /** The process may compile: there is much code to examine, and most of it is good. */
  readonly isCompiler: boolean;
}

/** Says what code would do if it ran. */
export type CodeAnalysis = (evidence: ExecutionEvidence, context: CodeContext) => Judgement;

/** The guest stands still meanwhile. One slice may take a little longer. */
const TIME_LIMIT_MS = 2;
/** Compiled code is examined once a page, and there are many pages. */
const COMPILER_BUDGET = 4096;
/** System calls of one judgement that an alert tells, from the first on, and up to the last. */
const TOLD_CALLS = 32;
const LONGEST_TEXT = 256;

/** An analysis by the emulator, warmed up: the first judgement takes no longer than later ones. */
export function codeAnalysis(rules?: RuleScanner): CodeAnalysis {
  const judge = new Judge();
  judge.warmUp();
  return ({ thread, stacks, stackPointer }, { region, isCompiler }) => {
    const stack = stackHolding(stackPointer, stacks.main, stacks.own, stacks.alternate);
    const input = {
      ...thread,
      region,
      budget: isCompiler ? COMPILER_BUDGET : DEFAULT_BUDGET,
      untilReturn: true,
      ...(stack === undefined ? {} : { stack }),
      ...(rules === undefined ? {} : { rules }),
    };
    return judge.judgeWithin(input, TIME_LIMIT_MS);
  };
}

function stackHolding(
  stackPointer: bigint,
  ...stacks: readonly (AddressRange | undefined)[]
): AddressRange | undefined {
  return stacks.find((stack) => inRange(stack, stackPointer - 1n));
}

/** A judgement as an alert tells it: the same as `underwatch analyze`, in bounds that the guest cannot stretch. */
export function describeJudgement(judgement: Judgement): CodeReport {
  const { systemCalls, strings } = judgement;
  const last = systemCalls.slice(TOLD_CALLS).slice(-TOLD_CALLS);
  return report({
    ...judgement,
    systemCalls: [...systemCalls.slice(0, TOLD_CALLS), ...last],
    strings: strings.map((text) => text.slice(0, LONGEST_TEXT)),
  });
}

import type { Finding } from '../alerts/event.ts';
import type { ExecutionEvidence } from './evidence.ts';
import { EXECUTION_CHECKS } from './execution-checks.ts';
import type { ProcessRule } from './policy.ts';

/** Looks at the code itself; what it finds counts like any other finding. */
export type CodeAnalysis = (evidence: ExecutionEvidence) => readonly Finding[];

/** What is known about code that was about to run. */
export interface Verdict {
  readonly findings: readonly Finding[];
  /** `clean`: nothing was found; `uncertain`: to be reported, but nobody is killed for it; `malicious`: the policy decides. */
  readonly outcome: 'clean' | 'uncertain' | 'malicious';
}

/** Judges an instruction fetch by the checks that the rule asks for, and by the code. */
export function judge(evidence: ExecutionEvidence, rule: ProcessRule, analyse: CodeAnalysis): Verdict {
  const findings: Finding[] = [];
  for (const [name, check] of EXECUTION_CHECKS) {
    if (!rule.checks[name] || (name === 'written' && rule.allowJit)) continue;
    const finding = check(evidence);
    if (finding !== undefined) findings.push({ check: name, ...finding });
  }
  findings.push(...analyse(evidence));
  return { findings, outcome: outcomeOf(findings) };
}

function outcomeOf(findings: readonly Finding[]): Verdict['outcome'] {
  if (findings.length === 0) return 'clean';
  return findings.some((finding) => finding.certain) ? 'malicious' : 'uncertain';
}

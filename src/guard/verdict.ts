import type { Finding } from '../alerts/event.ts';
import type { Judgement } from '../analysis/judge.ts';
import type { RegionFacts } from '../analysis/verdict.ts';
import type { CodeAnalysis } from './code-analysis.ts';
import type { ExecutionEvidence } from './evidence.ts';
import { EXECUTION_CHECKS } from './execution-checks.ts';
import type { ProcessRule } from './policy.ts';

/** What is known about code that was about to run. */
export interface Verdict {
  readonly findings: readonly Finding[];
  /** `clean`: nothing was found; `uncertain`: to be reported, but nobody is killed for it; `malicious`: the policy decides. */
  readonly outcome: 'clean' | 'uncertain' | 'malicious';
  /** What the code would do; undefined where it could not be judged. */
  readonly code: Judgement | undefined;
}

/** Judges an instruction fetch by the checks that the rule asks for, and by the code. */
export function judge(
  evidence: ExecutionEvidence,
  rule: ProcessRule,
  analyse: (...input: Parameters<CodeAnalysis>) => Judgement | undefined,
): Verdict {
  const checked = runChecks(evidence, rule);
  const code = analyse(evidence, { region: regionOf(checked), isCompiler: rule.allowJit });
  const findings = [...checked, ...codeFindings(code)];
  return { findings, outcome: outcomeOf(findings), code };
}

function runChecks(evidence: ExecutionEvidence, rule: ProcessRule): Finding[] {
  const findings: Finding[] = [];
  for (const [name, check] of EXECUTION_CHECKS) {
    if (!rule.checks[name] || (name === 'written' && rule.allowJit)) continue;
    const finding = check(evidence);
    if (finding !== undefined) findings.push({ check: name, ...finding });
  }
  return findings;
}

/** What the policy allows does not speak against the code. */
function regionOf(findings: readonly Finding[]): RegionFacts {
  const certain = new Set(findings.filter((finding) => finding.certain).map(({ check }) => check));
  return {
    onStack: certain.has('stack'),
    stackPointerOutside: certain.has('pivot'),
    writable: certain.has('writable'),
    writtenBefore: certain.has('written'),
  };
}

/** Malicious code is certain; suspicious code is told, unless only its place is suspicious. */
function codeFindings(code: Judgement | undefined): Finding[] {
  const [strongest] = code?.reasons ?? [];
  if (code === undefined || strongest === undefined) return [];
  if (code.verdict === 'malicious') return [{ check: 'code', detail: strongest, certain: true }];
  const hasOwn = code.traits.length + code.chains.length + code.rules.length > 0;
  return hasOwn ? [{ check: 'code', detail: strongest, certain: false }] : [];
}

function outcomeOf(findings: readonly Finding[]): Verdict['outcome'] {
  if (findings.length === 0) return 'clean';
  return findings.some((finding) => finding.certain) ? 'malicious' : 'uncertain';
}

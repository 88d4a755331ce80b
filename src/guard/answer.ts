import type { ALERT_ACTIONS } from '../alerts/event.ts';
import type { ExecutionEvidence } from './evidence.ts';
import type { Action } from './policy.ts';
import type { Verdict } from './verdict.ts';

/** What becomes of a thread that fetched an instruction. */
export type Decision = (typeof ALERT_ACTIONS)[number];

/** The guest's own init, whose death by a signal panics the kernel (kernel/exit.c, do_exit). */
const INIT = 1;

/**
 * What is done about a verdict. Init is never killed: its fault is left to itself, so that the code does not run
 * either. What is uncertain is let run.
 */
export function decide(verdict: Verdict, action: Action, tgid: number): Decision {
  if (verdict.outcome !== 'malicious' || action === 'audit') return 'allowed';
  return tgid === INIT ? 'denied' : 'killed';
}

/** What makes two detections the same: one VMA, one set of checks, one answer. */
export function detectionKey(evidence: ExecutionEvidence, verdict: Verdict, decision: Decision): string {
  const checks = verdict.findings.map((finding) => finding.check).join();
  return `${evidence.vma.start} ${checks} ${decision}`;
}

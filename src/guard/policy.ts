import { Glob } from './glob.ts';
import type { ACTIONS, CHECKS, PolicyFile } from './policy-schema.ts';

/** What is done about a detection. */
export type Action = (typeof ACTIONS)[number];

/** A check of the execution handler. */
export type CheckName = (typeof CHECKS)[number];

/** What a policy is asked about. */
export interface ProcessIdentity {
  /** `comm`, at most 15 bytes. */
  readonly name: string;
  /** The executable's path as the guest would print it; absent where it cannot be read. */
  readonly path?: string | undefined;
}

/** What to do with the processes that match. */
export interface ProcessRule {
  readonly action: Action;
  readonly checks: Readonly<Record<CheckName, boolean>>;
  readonly allowJit: boolean;
  matches(process: ProcessIdentity): boolean;
}

/** Which processes are protected, and how. The first rule that matches counts. */
export class Policy {
  readonly rules: readonly ProcessRule[];

  constructor(file: PolicyFile) {
    this.rules = file.processes.map(compileRule);
  }

  ruleFor(process: ProcessIdentity): ProcessRule | undefined {
    return this.rules.find((rule) => rule.matches(process));
  }
}

function compileRule(rule: PolicyFile['processes'][number]): ProcessRule {
  const path = rule.match.path === undefined ? undefined : new Glob(rule.match.path);
  const name = rule.match.name === undefined ? undefined : new Glob(rule.match.name);
  return {
    action: rule.action,
    checks: rule.checks,
    allowJit: rule.allow.includes('jit'),
    matches: (process) =>
      (path === undefined || (process.path !== undefined && path.matches(process.path))) &&
      (name === undefined || name.matches(process.name)),
  };
}

import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { expect } from 'vitest';
import { compile } from '../../lab/compile.ts';
import type { Guest } from '../../lab/guest.ts';
import { type Alert, EventSchema, type GuardEvent } from '../../src/alerts/event.ts';
import { Guard, type GuardEnd } from '../../src/guard/guard.ts';
import { parsePolicy } from '../../src/guard/policy-file.ts';
import type { Kernel } from '../../src/linux/kernel.ts';
import { openTarget } from '../../src/target.ts';

/** Where {@link installGuarded} puts the tests' own program. */
export const GUARDED = '/tmp/guarded';

/** Puts `programs/guarded.c` into the guest. */
export async function installGuarded(guest: Guest): Promise<void> {
  const program = await compile('../../test/guest/programs/guarded.c');
  await guest.writeFile(GUARDED, await readFile(program));
}

/** Protects the lab's programs and the tests' own; the JITs among them may compile. */
export function policyText(action: 'audit' | 'block'): string {
  const rule = (path: string, allow: string) =>
    `  - { match: { path: ${path} }, action: ${action}, allow: [${allow}] }\n`;
  const rules = [
    rule('/lab/benign/jit', 'jit'),
    rule('/lab/attack/*', ''),
    rule('/lab/benign/*', ''),
    rule(GUARDED, 'jit'),
  ];
  return `version: 1\nprocesses:\n${rules.join('')}`;
}

/** A guard in a test, with what it reported so far; every event is checked against its schema. */
export interface TestGuard {
  readonly guard: Guard;
  readonly kernel: Kernel;
  readonly events: GuardEvent[];
  readonly alerts: () => Alert[];
}

/** Guards a guest while `work` runs, and returns how the guard ended. */
export async function guarded(
  guest: Guest,
  policy: string,
  work: (test: TestGuard) => Promise<void>,
): Promise<{ end: GuardEnd; events: GuardEvent[] }> {
  await using target = await openTarget(`qemu:${guest.qmpSocket}`);
  const { machine, kernel } = target;
  const events: GuardEvent[] = [];
  const sink = { emit: (event: GuardEvent) => events.push(event) };
  await using guard = await Guard.start({ machine, kernel, policy: parsePolicy(policy), sink });
  await work({ guard, kernel, events, alerts: () => events.filter((event) => event.type === 'alert') });
  const end = await guard.stop();
  for (const event of events) expect(v.safeParse(EventSchema, event).issues).toBeUndefined();
  return { end, events };
}

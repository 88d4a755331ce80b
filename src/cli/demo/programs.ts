import type { CommandResult, Guest } from '../../../lab/guest.ts';
import { commandOf, type GuestProgram, guestPath, programNamed } from '../../../lab/programs.ts';
import type { Alert } from '../../alerts/event.ts';
import type { ProgramOutcome } from './report.ts';

/** The policy of the demo: the guest's own tools are not protected, the programs that are shown are. */
export const DEMO_POLICY = `version: 1
processes:
  - match: { path: ${guestPath(programNamed('jit'))} }
    action: block
    allow: [jit]          # a compiler: what it writes and then makes executable is examined, and runs
  - match: { path: /lab/** }
    action: block
`;

/** Runs a program in the guest and says how it ended; `alerts` is what the guard has reported so far. */
export async function runProgram(
  guest: Guest,
  program: GuestProgram,
  alerts: readonly Alert[] | undefined,
): Promise<ProgramOutcome> {
  const result = await guest.run(commandOf(program));
  const alert = alerts?.find(({ process }) => process.path === guestPath(program));
  const outcome = outcomeOf(program, result, alerts !== undefined);
  return {
    program: program.name,
    kind: program.kind === 'attack' ? 'attack' : 'benign',
    summary: program.summary,
    guarded: alerts !== undefined,
    outcome,
    ended: result.signal === undefined ? `status ${result.status}` : `signal ${result.signal}`,
    verdictMs: alert === undefined ? null : Math.round(alert.durationMs * 100) / 100,
  };
}

/** Whether an outcome is what the demo promises. */
export function isAsItShould({ outcome }: ProgramOutcome): boolean {
  return outcome === 'stopped' || outcome === 'unharmed' || outcome === 'succeeded';
}

function outcomeOf(
  program: GuestProgram,
  { output, status, signal }: CommandResult,
  guarded: boolean,
): ProgramOutcome['outcome'] {
  const achieved = output.split('\n').includes(program.achieves);
  if (program.kind === 'benign') return achieved && status === program.status ? 'unharmed' : 'HARMED';
  if (!guarded) return achieved ? 'succeeded' : 'DID NOT RUN';
  return !achieved && signal === SIGKILL ? 'stopped' : 'NOT STOPPED';
}

const SIGKILL = 9;

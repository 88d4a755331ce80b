import { bootGuest, type Guest } from '../../../lab/guest.ts';
import { ATTACKS, BENIGN, programNamed } from '../../../lab/programs.ts';
import type { Alert, GuardEvent } from '../../alerts/event.ts';
import { Guard } from '../../guard/guard.ts';
import { parsePolicy } from '../../guard/policy-file.ts';
import { readExeFile } from '../../linux/files/exe-file.ts';
import { rootDirectory } from '../../linux/files/root.ts';
import { discoveryMilliseconds } from '../../linux/kernel.ts';
import { kernelFacts } from '../../linux/kernel-facts.ts';
import { formatMapsRow, listMaps } from '../../linux/maps.ts';
import { hasUserMemory } from '../../linux/task.ts';
import { findProcess, listProcesses } from '../../linux/task-list.ts';
import { hex } from '../../memory/address.ts';
import { openTarget, type Target } from '../../target.ts';
import { printable } from '../output.ts';
import { DEMO_POLICY, isAsItShould, runProgram } from './programs.ts';
import type { DemoReport, ProgramOutcome } from './report.ts';

/** Boots a guest, looks at it, protects it, attacks it. Whether everything went as it should. */
export async function runDemo(kernel: string, report: DemoReport): Promise<boolean> {
  await using guest = await bootGuest({ kernel, qemu: 'newest', cpus: 1 });
  await using target = await openTarget(`qemu:${guest.qmpSocket}`);
  await showKernel(target, report);
  await showProcesses(target, report);
  await showMap(target, report);
  const outcomes = [
    await runProgram(guest, FIRST_ATTACK, undefined),
    ...(await attackGuarded(guest, target, report)),
    await runProgram(guest, FIRST_ATTACK, undefined),
  ];
  const problems = guest.logProblems();
  await report.outcomes(outcomes);
  await report.step(
    'log',
    problems.length === 0 ? "the guest's kernel log is clean" : "the guest's log",
    problems,
    {
      problems,
    },
  );
  return outcomes.every(isAsItShould) && problems.length === 0;
}

const FIRST_ATTACK = programNamed('mprotect_rx');
const JIT = programNamed('jit');

async function showKernel({ machine, kernel }: Target, report: DemoReport): Promise<void> {
  const { release, build, textBase, pagingLevels, symbolCount, typeCount } = kernelFacts(kernel);
  const milliseconds = discoveryMilliseconds(kernel.found);
  const { method } = kernel.found;
  await report.step(
    'kernel',
    `the kernel, found by ${method} in ${milliseconds.toFixed(0)} ms with no input but the QMP socket`,
    [
      `Linux ${printable(release)} ${printable(build)} on ${machine.live?.hypervisor}`,
      `text at ${hex(textBase)}, ${pagingLevels} paging levels, ${symbolCount} symbols, ${typeCount} types`,
    ],
    { release, build, textBase: hex(textBase), pagingLevels, symbolCount, typeCount, method, milliseconds },
  );
}

async function showProcesses({ kernel }: Target, report: DemoReport): Promise<void> {
  const root = rootDirectory(kernel);
  const { tasks } = listProcesses(kernel);
  const user = tasks.filter(hasUserMemory);
  const processes = user.map(({ tgid, comm, mm }) => ({
    pid: tgid,
    comm,
    path: readExeFile(kernel, mm, root)?.path ?? null,
  }));
  await report.step(
    'processes',
    `${tasks.length} processes, ${tasks.length - user.length} of them threads of the kernel`,
    processes.map(
      ({ pid, comm, path }) => `${String(pid).padStart(5)} ${printable(comm)} ${printable(path ?? '')}`,
    ),
    { count: tasks.length, processes },
  );
}

async function showMap({ kernel }: Target, report: DemoReport): Promise<void> {
  const init = findProcess(kernel, 1);
  if (init === undefined) return;
  const rows = listMaps(kernel, init.mm, rootDirectory(kernel)).rows.map(formatMapsRow);
  await report.step('map', 'the memory map of process 1, read from outside', rows, { pid: 1, rows });
}

/** Runs every program under guard, the compiler beside the attacks. */
async function attackGuarded(
  guest: Guest,
  { machine, kernel }: Target,
  report: DemoReport,
): Promise<ProgramOutcome[]> {
  const alerts: Alert[] = [];
  await report.step('policy', 'guarding with this policy', DEMO_POLICY.trimEnd().split('\n'), {
    policy: DEMO_POLICY,
  });
  await report.step('guard', 'what the guard reports', [], {});
  const emit = (event: GuardEvent) => {
    if (event.type === 'alert') alerts.push(event);
    if (!event.type.startsWith('process.')) report.guardEvent(event);
  };
  await using guard = await Guard.start({
    machine,
    kernel,
    policy: parsePolicy(DEMO_POLICY),
    sink: { emit },
  });
  const compiler = runProgram(guest, JIT, alerts);
  const outcomes: ProgramOutcome[] = [];
  for (const attack of ATTACKS) outcomes.push(await runProgram(guest, attack, alerts));
  for (const program of BENIGN) {
    outcomes.push(program === JIT ? await compiler : await runProgram(guest, program, alerts));
  }
  await guard.stop();
  return outcomes;
}

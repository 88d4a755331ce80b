import type { Cut } from './linux/cut.ts';
import { rootDirectory } from './linux/files/root.ts';
import { listMaps, type Maps } from './linux/maps.ts';
import type { VmaCursor } from './linux/mm/vma-cursor.ts';
import { walkVmas } from './linux/mm/walk.ts';
import { hasUserMemory, type Task } from './linux/task.ts';
import { listProcesses, listThreads } from './linux/task-list.ts';
import { snapshotVma, type Vma } from './linux/vma.ts';
import type { Target } from './target.ts';

/** Called with what could not be read; what could is given all the same. */
export type OnCut = (cut: Cut) => void;

/** VMAs that are read in one go before they are handed out. */
const BATCH = 256;

/**
 * The processes that have memory of their own, in the order of the kernel's list; kernel threads and processes that
 * have exited are left out.
 *
 * @example
 * for (const process of processesOf(target)) console.log(process.tgid, process.comm);
 */
export function processesOf(target: Target, onCut?: OnCut): Task[] {
  const { tasks, cuts } = listProcesses(target.kernel);
  if (onCut !== undefined) cuts.forEach(onCut);
  return tasks.filter(hasUserMemory);
}

/** The threads of a process, its leader included. */
export function threadsOf(target: Target, process: Task, onCut?: OnCut): readonly Task[] {
  const { tasks, cuts } = listThreads(target.kernel, process);
  if (onCut !== undefined) cuts.forEach(onCut);
  return tasks;
}

/**
 * The virtual memory areas of a process, lowest first, read as they are asked for.
 *
 * @example
 * for (const vma of vmasOf(target, process)) if (vma.flags & 4n) console.log(hex(vma.start), hex(vma.end));
 */
export function* vmasOf({ kernel }: Target, process: Pick<Task, 'mm'>, onCut?: OnCut): Generator<Vma, void> {
  let from = 0;
  let batch: Vma[];
  do {
    batch = [];
    const keep = (cursor: VmaCursor) => {
      batch.push(snapshotVma(kernel, cursor));
      from = cursor.endPage;
      return batch.length < BATCH;
    };
    const cut = walkVmas(kernel, process.mm, keep, { from });
    yield* batch;
    if (cut !== undefined) onCut?.(cut);
  } while (batch.length === BATCH);
}

/**
 * As {@link vmasOf}, for many: calls `visit` for each VMA with a cursor that is the same object every time and holds
 * addresses as pairs of 32-bit words; millions of VMAs a second. Ends early where `visit` returns false. Returns where
 * and why the walk was cut short, if it was.
 *
 * @example
 * let pages = 0;
 * forEachVma(target, process, (vma) => { pages += vma.endPage - vma.startPage; });
 */
export function forEachVma(
  { kernel }: Target,
  process: Pick<Task, 'mm'>,
  visit: (vma: VmaCursor) => unknown,
): Cut | undefined {
  return walkVmas(kernel, process.mm, (cursor) => visit(cursor) !== false);
}

/**
 * The rows of `/proc/PID/maps` of a process, as a program of the guest outside every container reads them.
 *
 * @example
 * for (const row of mapsOf(target, process).rows) console.log(formatMapsRow(row));
 */
export function mapsOf(target: Target, process: Pick<Task, 'mm'>): Maps {
  const { kernel, machine } = target;
  return listMaps(kernel, process.mm, rootDirectory(kernel), { live: machine.live !== undefined });
}

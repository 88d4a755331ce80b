import { setTimeout as delay } from 'node:timers/promises';
import { TargetError, UnderwatchError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import { readTask } from '../../linux/task.ts';
import { gva } from '../../memory/address.ts';
import type { Journal, JournalRecord } from '../journal/journal.ts';
import { findMakers, releaseMarkedPages } from './armed-pages.ts';
import type { GuestCallContext } from './guest-call.ts';
import { Mailbox } from './mailbox.ts';
import { restoreText, withdraw } from './withdrawal.ts';

/** How long passes over armed pages go on at most, and the pause between them (ms). */
const RELEASE_LIMIT = 15_000;
const RELEASE_PAUSE = 5;
/** From then on (ms) only tasks that run or were preempted count: on a sleeping one's stack the address is a leftover. */
const PATIENCE = 1000;

/**
 * Makes the guest as it was before an engine came: armed pages, text, stubs, mailbox, and then the journal itself. The
 * machine stands still before and after; in between it runs, and `serve` answers what still waits.
 *
 * Nothing new is asked from the first moment on. The detours go last, as until then their stubs release what faults.
 * @throws TargetError where the guest is never quiet, text is not what the journal says, or somebody stays in a stub; the
 * journal is kept then
 */
export async function leaveGuest(
  context: GuestCallContext,
  record: JournalRecord,
  journal: Journal,
  serve: () => void = () => {},
): Promise<void> {
  const { kernel, memory, debug } = context;
  if (record.mailbox !== null) {
    const address = gva(BigInt(record.mailbox.address));
    new Mailbox(memory, kernel.memory.locateAddress(address)).close();
  }
  await releaseArmed(context, serve);
  await restoreText(debug, kernel.memory, record.patches);
  await withdraw(context, record, journal, serve);
  await journal.remove();
}

/**
 * In passes, until one finds nothing, and everybody has been seen elsewhere who might have been making an entry by an
 * armed `vm_page_prot` at the first one: since then none is armed any more.
 */
async function releaseArmed({ debug, kernel, memory }: GuestCallContext, serve: () => void): Promise<void> {
  const deadline = performance.now() + RELEASE_LIMIT;
  let makers = await findMakers(debug, kernel);
  for (;;) {
    const { vmas, pages, gaps } = releaseMarkedPages(kernel, memory);
    if (pages > 0) await debug.flushTranslations();
    const done = vmas + pages + gaps + makers.size === 0;
    if (done) return;
    if (performance.now() > deadline)
      throw new TargetError('the guest was never quiet: its detours are left where they are, and ask nobody');
    debug.resume();
    serve();
    await delay(RELEASE_PAUSE);
    serve();
    await debug.interrupt();
    const still = await findMakers(debug, kernel);
    const patient = performance.now() < deadline - RELEASE_LIMIT + PATIENCE;
    makers = new Set([...makers].filter((task) => still.has(task) && (patient || isRunnable(kernel, task))));
  }
}

function isRunnable(kernel: Kernel, task: bigint): boolean {
  try {
    return readTask(kernel, gva(task)).state === 'R';
  } catch (error) {
    if (error instanceof UnderwatchError) return false;
    throw error;
  }
}

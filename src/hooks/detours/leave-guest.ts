import { setTimeout as delay } from 'node:timers/promises';
import { gva } from '../../memory/address.ts';
import type { Journal, JournalRecord } from '../journal/journal.ts';
import { isQuiet, releaseMarkedPages } from './armed-pages.ts';
import type { GuestCallContext } from './guest-call.ts';
import { Mailbox } from './mailbox.ts';
import { restoreText, withdraw } from './withdrawal.ts';

/** How long passes over armed pages go on while the guest is never quiet, and the pause between them (ms). */
const RELEASE_LIMIT = 5000;
const RELEASE_PAUSE = 5;

/**
 * Makes the guest as it was before an engine came: armed pages, text, stubs, mailbox, and then the journal itself. The
 * machine stands still before and after; in between it runs, and `serve` answers what still waits.
 *
 * Nothing new is asked from the first moment on. The detours go last, as until then their stubs release what faults.
 * @throws TargetError where text is not what the journal says, or somebody stays in a stub; the journal is kept then
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
  await withdraw(context, record, serve);
  await journal.remove();
}

/** In passes, until one finds nothing, and nobody who might be making an entry by an armed `vm_page_prot`. */
async function releaseArmed({ debug, kernel, memory }: GuestCallContext, serve: () => void): Promise<void> {
  const deadline = performance.now() + RELEASE_LIMIT;
  for (;;) {
    const { vmas, pages, gaps } = releaseMarkedPages(kernel, memory);
    if (pages > 0) await debug.flushTranslations();
    const quiet = vmas + pages + gaps === 0 && (await isQuiet(debug, kernel));
    if (quiet || performance.now() > deadline) return;
    debug.resume();
    serve();
    await delay(RELEASE_PAUSE);
    serve();
    await debug.interrupt();
  }
}

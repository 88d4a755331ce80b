import { identify, isSameGuest } from '../journal/guest-identity.ts';
import type { Journal } from '../journal/journal.ts';
import type { GuestCallContext } from './guest-call.ts';
import { leaveGuest } from './leave-guest.ts';

/** What recovery found and did. */
export type Recovery =
  | { readonly outcome: 'nothing' }
  /** The journal is of another boot, whose memory is gone: it was kept as `path`. */
  | { readonly outcome: 'set-aside'; readonly path: string }
  | { readonly outcome: 'restored'; readonly functions: readonly string[] };

/**
 * Puts back what an engine that died left in a guest's kernel: text, stubs and mailbox, as its journal says, and the
 * pages that it had armed, which are known by their mark. The machine stands still before and after.
 * @throws TargetError where text is not what the journal says, or somebody stays in a stub
 */
export async function recover(context: GuestCallContext, journal: Journal): Promise<Recovery> {
  const record = await journal.read();
  if (record === undefined) return { outcome: 'nothing' };
  if (!isSameGuest(record.guest, identify(context.kernel)))
    return { outcome: 'set-aside', path: await journal.setAside(new Date()) };
  await leaveGuest(context, record, journal);
  return { outcome: 'restored', functions: record.patches.map(({ symbol }) => symbol) };
}

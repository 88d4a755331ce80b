import { TargetError } from '../../errors.ts';
import { gva, hex } from '../../memory/address.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import { identify } from '../journal/guest-identity.ts';
import type { Journal, JournalRecord } from '../journal/journal.ts';
import { findMarkedPages, MARK_BIT } from './armed-pages.ts';
import { FilterTable } from './filter-table.ts';
import type { GuestCallContext } from './guest-call.ts';
import { allocatePages } from './guest-pages.ts';
import { Mailbox, ticksOf } from './mailbox.ts';
import { MAILBOX_SIZE } from './mailbox-layout.ts';
import { callPlace, findGap, type Gap } from './placement.ts';
import { StubArea } from './stub-area.ts';
import { stubEnvironment } from './stubs/environment.ts';
import { withdraw } from './withdrawal.ts';

/** How long a request waits before it is let go, in milliseconds: 200 is too short on a host that is loaded four times over. */
const REQUEST_LIMIT = 500;

/** The engine's own places in a guest, before any function has a detour. */
export interface Foothold {
  /** As it is in the journal; whoever changes the guest changes it first, and writes it. */
  readonly record: JournalRecord;
  readonly mailbox: Mailbox;
  readonly addressSpaces: FilterTable;
  readonly programs: FilterTable;
  readonly area: StubArea;
  /** How long a request waits, in ticks of the guest's time-stamp counter. */
  readonly limit: bigint;
}

/**
 * Makes room in the guest: a gap in its text, and pages from its allocator, for which it runs a moment. The machine
 * stands still before and after.
 * @throws TargetError with the reason where that cannot be had; the guest is then as before
 */
export async function gainFoothold(
  context: GuestCallContext,
  machine: string,
  doorbellPort: number | undefined,
  journal: Journal,
): Promise<Foothold> {
  const limit = ticksOf(context.kernel, REQUEST_LIMIT);
  if (limit === undefined) throw new TargetError('the guest has no time-stamp counter that it trusts');
  const { vmas, pages } = findMarkedPages(context.kernel);
  if (vmas + pages > 0) throw new TargetError(`bit ${MARK_BIT} of the guest's page-table entries is in use`);
  const gap = findGap(context.kernel);
  const record: JournalRecord = {
    version: 1,
    machine,
    guest: identify(context.kernel),
    gap: { start: hex(gap.start), size: gap.size },
    mailbox: null,
    patches: [],
  };
  await journal.write(record);
  try {
    return await settleIn(context, { record, gap, limit }, doorbellPort, journal);
  } catch (error) {
    await withdraw(context, record, journal);
    await journal.remove();
    throw error;
  }
}

async function settleIn(
  context: GuestCallContext,
  { record, gap, limit }: { record: JournalRecord; gap: Gap; limit: bigint },
  doorbellPort: number | undefined,
  journal: Journal,
): Promise<Foothold> {
  const { debug, kernel, memory } = context;
  const pages = await allocatePages(context, callPlace(gap), Math.log2(MAILBOX_SIZE / PAGE_SIZE));
  record.mailbox = { address: hex(pages.address), order: pages.order };
  await journal.write(record);
  const places = {
    mailbox: pages.address,
    filterTable: gap.start,
    programTable: gva(gap.start + BigInt(PAGE_SIZE)),
    doorbellPort,
  };
  const mailbox = new Mailbox(memory, pages.physical);
  mailbox.clear();
  const addressSpaces = new FilterTable(memory, gap.physical);
  const programs = new FilterTable(memory, gap.physical + PAGE_SIZE);
  const area = new StubArea(kernel, stubEnvironment(kernel, places), gap);
  await area.writeShared(debug);
  return { record, mailbox, addressSpaces, programs, area, limit };
}

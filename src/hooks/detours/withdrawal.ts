import { setTimeout as delay } from 'node:timers/promises';
import { TargetError } from '../../errors.ts';
import type { KernelMemory } from '../../linux/kernel-memory.ts';
import type { Debugger } from '../../machine/machine.ts';
import { gva, hex } from '../../memory/address.ts';
import type { Journal, JournalPatch, JournalRecord } from '../journal/journal.ts';
import type { GuestCallContext } from './guest-call.ts';
import { freePages } from './guest-pages.ts';
import { Mailbox } from './mailbox.ts';
import { callPlace, PADDING } from './placement.ts';
import { findOccupants } from './quiescence.ts';
import { writeText } from './text-writer.ts';

/** How long stubs may take to become empty, and how long the guest runs between two looks, in milliseconds. */
const QUIET_LIMIT = 5000;
const QUIET_PAUSE = 10;

/**
 * Makes kernel text what it was before it was patched.
 * @throws TargetError where it is neither what it was nor what it was made, so that nobody knows what it should be
 */
export async function restoreText(
  debug: Debugger,
  memory: KernelMemory,
  patches: readonly JournalPatch[],
): Promise<void> {
  for (const { symbol, address, original, patched } of patches) {
    const place = gva(BigInt(address));
    const now = Buffer.from(memory.readBytes(place, original.length / 2)).toString('hex');
    if (now === original) continue;
    if (now !== patched)
      throw new TargetError(`somebody else has changed ${symbol} at ${address} (GVA): it is left as it is`);
    await writeText(debug, memory, place, Buffer.from(original, 'hex'));
  }
}

/**
 * Takes stubs and mailbox out of the guest once nobody is in them: text is restored already. The machine stands still
 * before and after; in between it runs, and `serve` answers what still waits. The journal forgets the mailbox before
 * its pages are given back: they must not be given back twice.
 * @throws TargetError where somebody stays in a stub for five seconds: then all is left where it is
 */
export async function withdraw(
  context: GuestCallContext,
  record: JournalRecord,
  journal: Journal,
  serve: () => void = () => {},
): Promise<void> {
  const { debug, kernel, memory } = context;
  const gap = { start: gva(BigInt(record.gap.start)), size: record.gap.size };
  const pages = record.mailbox && { ...record.mailbox, address: gva(BigInt(record.mailbox.address)) };
  const mailbox = pages ? new Mailbox(memory, kernel.memory.locateAddress(pages.address)) : undefined;
  mailbox?.close();
  await becomeQuiet(context, gap, mailbox, serve);
  if (pages !== null) {
    record.mailbox = null;
    await journal.write(record);
    await freePages(context, callPlace(gap), pages);
  }
  await writeText(debug, kernel.memory, gap.start, new Uint8Array(gap.size).fill(PADDING));
}

async function becomeQuiet(
  { debug, kernel }: GuestCallContext,
  { start, size }: { readonly start: bigint; readonly size: number },
  mailbox: Mailbox | undefined,
  serve: () => void,
): Promise<void> {
  const range = { start, end: start + BigInt(size) };
  const deadline = performance.now() + QUIET_LIMIT;
  for (;;) {
    const [occupant] = await findOccupants(debug, kernel, [range]);
    if (occupant === undefined && !mailbox?.inUse) return;
    if (performance.now() > deadline) {
      const who = occupant === undefined ? 'a request' : `task ${hex(occupant)}`;
      throw new TargetError(`${who} stays in the stubs at ${hex(start)} (GVA): they are left where they are`);
    }
    debug.resume();
    serve();
    await delay(QUIET_PAUSE);
    serve();
    await debug.interrupt();
  }
}

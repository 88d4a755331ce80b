import { setTimeout as delay } from 'node:timers/promises';
import { TargetError } from '../../errors.ts';
import type { KernelMemory } from '../../linux/kernel-memory.ts';
import type { Debugger } from '../../machine/machine.ts';
import { gva, hex } from '../../memory/address.ts';
import type { JournalPatch, JournalRecord } from '../journal/journal.ts';
import type { GuestCallContext } from './guest-call.ts';
import { freePages } from './guest-pages.ts';
import { Mailbox } from './mailbox.ts';
import { PADDING } from './placement.ts';
import { findOccupant } from './quiescence.ts';
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
 * before and after; in between it runs, and `serve` answers what still waits.
 * @throws TargetError where somebody stays in a stub for five seconds: then all is left where it is
 */
export async function withdraw(
  context: GuestCallContext,
  { gap, mailbox }: Pick<JournalRecord, 'gap' | 'mailbox'>,
  serve: () => void = () => {},
): Promise<void> {
  const { debug, kernel, memory } = context;
  const start = BigInt(gap.start);
  const address = mailbox === null ? undefined : gva(BigInt(mailbox.address));
  const physical = address === undefined ? undefined : kernel.memory.locateAddress(address);
  if (physical !== undefined) {
    const box = new Mailbox(memory, physical);
    box.close();
    await becomeQuiet(context, start, gap.size, box, serve);
  }
  await writeText(debug, kernel.memory, gva(start), new Uint8Array(gap.size).fill(PADDING));
  if (mailbox !== null && address !== undefined && physical !== undefined)
    await freePages(context, { address, physical, order: mailbox.order });
}

async function becomeQuiet(
  { debug, kernel }: GuestCallContext,
  start: bigint,
  size: number,
  mailbox: Mailbox,
  serve: () => void,
): Promise<void> {
  const range = { start, end: start + BigInt(size) };
  const deadline = performance.now() + QUIET_LIMIT;
  for (;;) {
    const occupant = await findOccupant(debug, kernel, [range]);
    if (occupant === undefined && !mailbox.inUse) return;
    if (performance.now() > deadline) {
      const who = occupant ?? 'a request';
      throw new TargetError(`${who} stays in the stubs at ${hex(start)} (GVA): they are left where they are`);
    }
    debug.resume();
    serve();
    await delay(QUIET_PAUSE);
    serve();
    await debug.interrupt();
  }
}

import type { AddressSpace } from './emulator/memory/address-space.ts';
import { WRITTEN } from './emulator/memory/marks.ts';
import { PAGE_SIZE } from './emulator/memory/snapshot.ts';

const SHORTEST = 5;
const MOST = 32;
const LONGEST_PAYLOAD = 4096;

/** Printable strings in what the run wrote: built on the stack, or decoded. Strings end with their page. */
export function writtenStrings(memory: AddressSpace): string[] {
  const { count } = memory.slab;
  const found = new Set<string>();
  for (let page = 0; page < count && found.size < MOST; page++) {
    const start = page * PAGE_SIZE;
    if (memory.slab.isWritten(start)) collect(memory, start, found);
  }
  return [...found];
}

function collect(memory: AddressSpace, start: number, found: Set<string>): void {
  const { bytes, marks, markView } = memory.slab;
  let text = '';
  for (let at = start; at <= start + PAGE_SIZE; at++) {
    while (text === '' && (at & 3) === 0 && at < start + PAGE_SIZE && markView.getInt32(at) === 0) at += 4;
    const byte = at === start + PAGE_SIZE ? 0 : (bytes[at] ?? 0);
    if (byte >= 0x20 && byte < 0x7f && ((marks[at] ?? 0) & WRITTEN) !== 0) {
      text += String.fromCharCode(byte);
      continue;
    }
    if (text.length >= SHORTEST && found.size < MOST) found.add(text);
    text = '';
  }
}

/** What a decoder left where it was run: all written bytes around an address, within its page. */
export interface Payload {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** The payload around an address that was executed after it had been written. */
export function payloadAt(memory: AddressSpace, high: number, low: number): Payload | undefined {
  const at = memory.find(high, low);
  if (at < 0) return undefined;
  const { bytes, marks } = memory.slab;
  const pageStart = at & ~(PAGE_SIZE - 1);
  let from = at;
  while (from > pageStart && ((marks[from - 1] ?? 0) & WRITTEN) !== 0) from--;
  let to = at;
  while (to < pageStart + PAGE_SIZE && to - from < LONGEST_PAYLOAD && ((marks[to] ?? 0) & WRITTEN) !== 0)
    to++;
  const address = (BigInt(high >>> 0) << 32n) + BigInt(low >>> 0) - BigInt(at - from);
  return { address, bytes: bytes.slice(from, to) };
}

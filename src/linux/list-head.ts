import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import { PhysicalMemoryError } from '../memory/physical-memory.ts';
import type { Cut, CutReason } from './cut.ts';
import type { KernelMemory } from './kernel-memory.ts';
import { KernelMemoryError } from './kernel-memory.ts';

/** The structures on a list, and where the walk was cut short if it was. */
export interface ListWalk {
  readonly addresses: readonly GuestVirtualAddress[];
  readonly cut: Cut | undefined;
}

/** What a list consists of. */
export interface ListOptions {
  /** Name of the structures on the list, for the report of a cut. */
  readonly structure: string;
  /** Where the list's links lie in them, in bytes. */
  readonly offset: number;
  /** The most structures to visit. */
  readonly limit: number;
}

/**
 * Follows a circular `struct list_head` from its head (which is in no structure of the list) until it is back
 * there; gives the addresses of the structures that contain the links. Cycles that leave out the head are
 * found by Brent's algorithm, at the cost of one comparison a step.
 */
export function walkList(memory: KernelMemory, head: GuestVirtualAddress, options: ListOptions): ListWalk {
  const addresses: GuestVirtualAddress[] = [];
  const offset = BigInt(options.offset);
  const end = (reason: CutReason | undefined, link: GuestVirtualAddress): ListWalk => ({
    addresses,
    cut: reason && { reason, structure: options.structure, address: gva(link - offset) },
  });
  let landmark = head;
  let untilLandmark = 1;
  let link = head;
  for (;;) {
    const next = followLink(memory, link);
    if (next === undefined) return end('unreadable', link);
    if (next === head) return end(undefined, head);
    if (next === landmark || next === link) return end('cycle', next);
    if (addresses.length === options.limit) return end('limit', next);
    addresses.push(gva(next - offset));
    link = next;
    untilLandmark -= 1;
    if (untilLandmark === 0) {
      landmark = link;
      untilLandmark = addresses.length;
    }
  }
}

/** `next` of a `struct list_head`, which is its first member. */
function followLink(memory: KernelMemory, link: GuestVirtualAddress): GuestVirtualAddress | undefined {
  try {
    return link % 8n === 0n ? gva(memory.readU64(link)) : undefined;
  } catch (error) {
    if (error instanceof KernelMemoryError || error instanceof PhysicalMemoryError) return undefined;
    throw error;
  }
}

import { type GuestVirtualAddress, hex } from '../memory/address.ts';

/**
 * Why a walk ended early: it reached its bound, met its own track, or read what cannot be (`torn`: changed
 * while it was read, or broken for good; from outside the two look alike).
 */
export type CutReason = 'limit' | 'cycle' | 'torn' | 'unreadable';

/** A gap that a reader reports instead of throwing away what it has. */
export interface Cut {
  readonly reason: CutReason;
  /** The structure at which the walk ended: `vm_area_struct`. */
  readonly structure: string;
  /** Guest-virtual address of that structure. */
  readonly address: GuestVirtualAddress;
}

const REASONS: Readonly<Record<CutReason, string>> = {
  limit: 'the walk reached its bound',
  cycle: 'the structures form a cycle',
  torn: 'the structure contradicts itself',
  unreadable: 'the structure cannot be read',
};

/** One sentence for people: `cut short at vm_area_struct 0xffff888003a1c000: the structures form a cycle`. */
export function describeCut(cut: Cut): string {
  return `cut short at ${cut.structure} ${hex(cut.address)}: ${REASONS[cut.reason]}`;
}

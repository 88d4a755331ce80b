import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, gvaOfWords } from '../../memory/address.ts';
import { type Cut, type CutReason, describeCut } from '../cut.ts';

/** A VMA, or a node of the structure that holds it, cannot be what it should be. */
export class VmaTreeError extends UnderwatchError {
  readonly cut: Cut;

  constructor(reason: CutReason, structure: string, high: number, low: number) {
    const cut = { reason, structure, address: gvaOfWords(high, low) };
    super(reason === 'limit' ? 'limit' : 'malformed', `the walk over VMAs was ${describeCut(cut)}`);
    this.cut = cut;
  }

  /** Guest-virtual address of the structure. */
  get address(): GuestVirtualAddress {
    return this.cut.address;
  }
}

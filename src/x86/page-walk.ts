/**
 * Why a walk ended.
 *
 * - `mapped`: at a leaf entry
 * - `non-canonical`: the address is not one for this number of levels
 * - `not-present`: at an entry whose present bit is clear
 * - `prot-none`: the same, with the bit by which Linux keeps a page that nobody may access
 * - `reserved`: at an entry with a reserved bit set, for which the CPU would raise a page fault
 * - `absent`: a table lies where there is no RAM
 */
export type WalkOutcome = 'mapped' | 'non-canonical' | 'not-present' | 'prot-none' | 'reserved' | 'absent';

/** What one page walk found. Made once and filled by each walk, so that walks allocate nothing. */
export class PageWalk {
  outcome: WalkOutcome = 'not-present';
  /** The level of the last entry looked at: 1 for a page table, up to 5; 0 when none was read. */
  level = 0;
  /** Guest-physical address of the last entry looked at. */
  entryAddress = -1;
  entryHigh = 0;
  entryLow = 0;
  /** The guest-physical address translated to, or -1. */
  physical = -1;
  /** Size of the page in bytes (4 KiB, 2 MiB or 1 GiB), or 0. */
  pageSize = 0;
  /** Every entry on the way allows writes. */
  writable = false;
  /** Every entry on the way allows user mode. */
  user = false;
  /** Some entry on the way forbids instruction fetches, and EFER.NXE is set. */
  noExecute = false;
  /**
   * As `noExecute`, but without the root's entry: under KPTI the kernel's own root forbids execution of the
   * user half, which the root that user mode runs on does not (`arch/x86/mm/pti.c`).
   */
  noExecuteBelowRoot = false;

  /** Forgets the walk before. */
  clear(): void {
    this.outcome = 'not-present';
    this.level = 0;
    this.entryAddress = -1;
    this.entryHigh = 0;
    this.entryLow = 0;
    this.physical = -1;
    this.pageSize = 0;
    this.writable = true;
    this.user = true;
    this.noExecute = false;
    this.noExecuteBelowRoot = false;
  }

  /** No translation: what was gathered on the way down means nothing. */
  fail(outcome: WalkOutcome): void {
    this.outcome = outcome;
    this.writable = false;
    this.user = false;
  }
}

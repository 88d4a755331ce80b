import { UnderwatchError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import type { VmaCursor } from '../linux/mm/vma-cursor.ts';
import { walkVmas } from '../linux/mm/walk.ts';
import { UserMemory } from '../linux/user-memory.ts';
import { VmFlag } from '../linux/vma.ts';
import type { PageTables } from '../x86/page-tables.ts';
import type { Arming } from './arming.ts';
import { kernelKey } from './kernel-key.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { isSuspicious } from './suspicious.ts';

/** What one pass over address spaces did. */
export interface SweepResult {
  /** VMAs whose `vm_page_prot` was changed. */
  vmas: number;
  /** Leaf entries that were changed. */
  pages: number;
  /** Parts that could not be read: a structure in the middle of a change, or a broken one. */
  gaps: number;
  /** The address spaces in which something was changed. */
  readonly changed: Set<ProtectedSpace>;
}

/** Nothing done yet. */
export function emptySweep(): SweepResult {
  return { vmas: 0, pages: 0, gaps: 0, changed: new Set() };
}

/**
 * Arms or disarms all that is suspicious in an address space, whatever the table says of it: VMAs split, merge
 * and move, and a child inherits its parent's. Needs the machine standing still.
 */
export class Sweep {
  readonly #kernel: Kernel;
  readonly #arming: Arming;

  constructor(kernel: Kernel, arming: Arming) {
    this.#kernel = kernel;
    this.#arming = arming;
  }

  arm(space: ProtectedSpace, result: SweepResult): void {
    this.#each(space, result, (vma, pageTables) => {
      const writable = (vma.flagsLow & VmFlag.write) !== 0;
      space.vmas.track(kernelKey(vma.high, vma.low), vma.startPage, vma.endPage, writable);
      return this.#arming.arm(vma, pageTables);
    });
  }

  disarm(space: ProtectedSpace, result: SweepResult): void {
    this.#each(space, result, (vma, pageTables) => this.#arming.disarm(vma, pageTables));
    space.vmas.clear();
  }

  #each(
    space: ProtectedSpace,
    result: SweepResult,
    change: (vma: VmaCursor, pageTables: PageTables) => ReturnType<Arming['arm']>,
  ): void {
    const { memory, layout } = this.#kernel;
    try {
      const { pageTables } = new UserMemory(this.#kernel, space.mm);
      const cut = walkVmas(this.#kernel, space.mm, (vma) => {
        if (!isSuspicious(memory.physical, layout, vma)) return undefined;
        const { protectionChanged, pages, absentTables, cut: short } = change(vma, pageTables);
        if (protectionChanged) result.vmas++;
        result.pages += pages;
        result.gaps += absentTables + (short ? 1 : 0);
        if (protectionChanged || pages > 0) result.changed.add(space);
        return undefined;
      });
      if (cut !== undefined) result.gaps++;
    } catch (error) {
      if (!(error instanceof UnderwatchError)) throw error;
      result.gaps++;
    }
  }
}

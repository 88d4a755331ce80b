import { UnderwatchError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import { KernelObject } from '../linux/kernel-object.ts';
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
  /** The guest was changing one of the address spaces: another pass is needed. */
  busy: boolean;
  /** A part could not be read. */
  gaps: number;
}

/** Nothing done yet. */
export function emptySweep(): SweepResult {
  return { vmas: 0, pages: 0, busy: false, gaps: 0 };
}

/**
 * Arms or disarms all that is suspicious in an address space, whatever the table says of it: VMAs split, merge
 * and move, and a child inherits its parent's. Needs the machine standing still.
 *
 * A task of the guest that stands in the middle of a change may go on with a value that it read before. It then holds
 * `mmap_lock`, for reading or for writing, and the pass counts as busy.
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
      if (this.#isLocked(space)) result.busy = true;
      const { pageTables } = new UserMemory(this.#kernel, space.mm);
      const cut = walkVmas(this.#kernel, space.mm, (vma) => {
        if (!isSuspicious(memory.physical, layout, vma)) return undefined;
        const { protectionChanged, pages, absentTables, cut: short } = change(vma, pageTables);
        if (protectionChanged) result.vmas++;
        result.pages += pages;
        result.gaps += absentTables + (short ? 1 : 0);
        return undefined;
      });
      if (cut !== undefined) result.gaps++;
    } catch (error) {
      if (!(error instanceof UnderwatchError)) throw error;
      result.gaps++;
    }
  }

  /** The count of `mmap_lock` is 0 when nobody holds it or waits for it (kernel/locking/rwsem.c). */
  #isLocked(space: ProtectedSpace): boolean {
    const offset = this.#kernel.layout.mm_struct.mmap_lock;
    return offset !== undefined && new KernelObject(this.#kernel.memory, space.mm).u64(offset) !== 0n;
  }
}

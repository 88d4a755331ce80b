import { UnderwatchError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { VmaCursor } from '../../linux/mm/vma-cursor.ts';
import { walkVmas } from '../../linux/mm/walk.ts';
import { listProcesses } from '../../linux/task-list.ts';
import { UserMemory } from '../../linux/user-memory.ts';
import { VmFlag } from '../../linux/vma.ts';
import type { Debugger } from '../../machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { visitLeaves } from '../../x86/leaf-entries.ts';
import { PTE_HIGH_NO_EXECUTE } from '../../x86/pte.ts';
import { functionLength } from './function-length.ts';
import { findOccupants } from './quiescence.ts';

/**
 * The bit that arming leaves in `vm_page_prot` and so in every entry of an armed VMA. The CPU ignores it (Intel SDM
 * vol. 3A, table 4-20) and Linux does not use it.
 */
export const MARK_BIT = 56;
/** The same in the upper word of an entry. */
export const MARK_HIGH = 2 ** (MARK_BIT - 32);

/** What a pass over all processes found. */
export interface MarkedPages {
  /** VMAs whose `vm_page_prot` was marked. */
  vmas: number;
  /** Leaf entries that were marked. */
  pages: number;
  /** Parts that could not be read, as they were being changed. */
  gaps: number;
}

/** Counts what is marked, while the machine stands still or runs. */
export function findMarkedPages(kernel: Kernel): MarkedPages {
  return eachMarked(kernel, () => {});
}

/**
 * Gives everything that is marked the protection that its VMA's flags say: no mark, and executable where the VMA is.
 * Needs the machine standing still; translations are to be flushed afterwards.
 */
export function releaseMarkedPages(kernel: Kernel, memory: WritablePhysicalMemory): MarkedPages {
  const word = Buffer.alloc(4);
  return eachMarked(kernel, (vma, high, place) => {
    const executable = (vma.flagsLow & VmFlag.exec) !== 0;
    const cleared = executable ? MARK_HIGH | PTE_HIGH_NO_EXECUTE : MARK_HIGH;
    word.writeUInt32LE((high & ~cleared) >>> 0);
    memory.write(place + 4, word);
  });
}

/**
 * Functions within which an entry may be made by a `vm_page_prot` that was read before, a fault may be on its way to
 * be judged, or an address space may be copied that no process has yet.
 */
const MAKERS = [
  'asm_exc_page_fault',
  'handle_mm_fault',
  'vma_set_page_prot',
  'mprotect_fixup',
  'change_protection',
  'move_page_tables',
  'setup_arg_pages',
  'copy_process',
];

/** The tasks that may be about to make an entry or to judge a fault, running or preempted; needs the machine standing still. */
export function findMakers(debug: Debugger, kernel: Kernel): Promise<Set<bigint>> {
  const ranges = [...kernel.symbols.findMany(MAKERS).values()].map((start) => ({
    start,
    end: start + BigInt(functionLength(kernel.symbols, start)),
  }));
  return findOccupants(debug, kernel, ranges);
}

/** Gives the VMA, the upper word and the guest-physical address of each marked `vm_page_prot` and leaf entry. */
function eachMarked(
  kernel: Kernel,
  visit: (vma: VmaCursor, high: number, place: number) => void,
): MarkedPages {
  const found = { vmas: 0, pages: 0, gaps: 0 };
  for (const mm of addressSpaces(kernel)) {
    try {
      const { pageTables } = new UserMemory(kernel, mm);
      const cut = walkVmas(kernel, mm, (vma) => {
        if ((vma.protectionHigh & MARK_HIGH) !== 0) {
          found.vmas++;
          visit(vma, vma.protectionHigh, vma.physical + kernel.layout.vm_area_struct.vm_page_prot);
        }
        const leaves = visitLeaves(pageTables, vma.startPage, vma.endPage, (entry, high) => {
          if ((high & MARK_HIGH) === 0) return;
          found.pages++;
          visit(vma, high, entry);
        });
        found.gaps += leaves.absentTables + Number(leaves.cut);
        return undefined;
      });
      if (cut !== undefined) found.gaps++;
    } catch (error) {
      if (!(error instanceof UnderwatchError)) throw error;
      found.gaps++;
    }
  }
  return found;
}

function addressSpaces(kernel: Kernel): Set<GuestVirtualAddress> {
  const spaces = new Set(listProcesses(kernel).tasks.map(({ mm }) => mm));
  spaces.delete(gva(0n));
  return spaces;
}

import type { GuestVirtualAddress } from '../memory/address.ts';
import { highWord, lowWord } from '../memory/address.ts';
import { PAGE_SIZE, PageTables } from '../x86/page-tables.ts';
import type { Kernel } from './kernel.ts';
import { KernelObject } from './kernel-object.ts';

/**
 * The user half of one address space, through its own page tables (`mm->pgd`, the kernel's view of them where
 * kernel and user tables are apart). Only what is in RAM can be read: pages that were never touched or are
 * swapped out are not there.
 */
export class UserMemory {
  readonly pageTables: PageTables;
  readonly #kernel: Pick<Kernel, 'memory' | 'layout'>;

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, mm: GuestVirtualAddress) {
    const { memory, layout } = kernel;
    const pgd = new KernelObject(memory, mm).pointer(layout.mm_struct.pgd);
    const { levels, noExecuteEnabled } = memory.pageTables;
    this.#kernel = kernel;
    this.pageTables = new PageTables(memory.physical, memory.locateAddress(pgd), levels, noExecuteEnabled);
  }

  /** Fills `target` from a user address on; the number of bytes that were there, from the first on. */
  read(address: GuestVirtualAddress, target: Uint8Array): number {
    const { physical } = this.#kernel.memory;
    let done = 0;
    while (done < target.length) {
      const at = address + BigInt(done);
      const piece = Math.min(target.length - done, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)));
      const found = this.pageTables.translate(highWord(at), lowWord(at));
      if (found < 0 || !physical.contains(found, piece)) break;
      physical.read(found, target.subarray(done, done + piece));
      done += piece;
    }
    return done;
  }
}

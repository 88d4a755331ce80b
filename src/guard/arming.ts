import type { Kernel } from '../linux/kernel.ts';
import type { VmaCursor } from '../linux/mm/vma-cursor.ts';
import type { WritablePhysicalMemory } from '../memory/physical-memory.ts';
import { type LeafVisit, visitLeaves } from '../x86/leaf-entries.ts';
import type { PageTables } from '../x86/page-tables.ts';
import { PTE_HIGH_NO_EXECUTE } from '../x86/pte.ts';
import type { ProtectionMap } from './protection-map.ts';

/** What arming or disarming one VMA changed, and what it could not reach. */
export interface ArmingResult extends LeafVisit {
  /** Whether `vm_page_prot` was another value before. */
  readonly protectionChanged: boolean;
  /** Leaf entries that were changed. */
  readonly pages: number;
}

/**
 * Makes VMAs non-executable for the CPU, and executable again, without the guest's flags or its
 * `/proc/PID/maps` telling (the reference page's `IntLixVmaProtect` and `IntLixVmaRemoveProtection`).
 *
 * The guest's kernel builds every page-table entry of a VMA from `vm_page_prot`; with no-execute in there,
 * all entries that it makes from then on have it. Entries that exist already are changed one by one, and the TLBs
 * must then be flushed. Every method needs the machine standing still, or the VMA's lock held by who trapped.
 */
export class Arming {
  readonly #protectionOffset: number;
  readonly #memory: WritablePhysicalMemory;
  readonly #protection: ProtectionMap;
  readonly #word = Buffer.alloc(4);

  constructor(kernel: Kernel, memory: WritablePhysicalMemory, protection: ProtectionMap) {
    this.#protectionOffset = kernel.layout.vm_area_struct.vm_page_prot;
    this.#memory = memory;
    this.#protection = protection;
  }

  /** Writes the armed `vm_page_prot`; tells whether it was another value. */
  armProtection(vma: VmaCursor): boolean {
    const high = this.#protection.armedHigh(vma.flagsLow, vma.flagsHigh);
    return this.#writeProtection(vma, high, this.#protection.low(vma.flagsLow));
  }

  /** Arms a VMA that may have pages already. */
  arm(vma: VmaCursor, pageTables: PageTables): ArmingResult {
    const protectionChanged = this.armProtection(vma);
    return { protectionChanged, ...this.#changeLeaves(vma, pageTables, true) };
  }

  /** Gives a VMA what its own flags say: `vm_page_prot` and every present entry. */
  disarm(vma: VmaCursor, pageTables: PageTables): ArmingResult {
    const high = this.#protection.high(vma.flagsLow, vma.flagsHigh);
    const protectionChanged = this.#writeProtection(vma, high, this.#protection.low(vma.flagsLow));
    return { protectionChanged, ...this.#changeLeaves(vma, pageTables, false) };
  }

  /** Lets instructions be fetched through one leaf entry (its guest-physical address and high word). */
  allowFetches(entry: number, high: number): void {
    this.#writeU32(entry + 4, (high & ~PTE_HIGH_NO_EXECUTE) >>> 0);
  }

  #writeProtection(vma: VmaCursor, high: number, low: number): boolean {
    if (vma.protectionHigh === high && vma.protectionLow === low) return false;
    const at = vma.physical + this.#protectionOffset;
    this.#writeU32(at, low);
    this.#writeU32(at + 4, high);
    vma.protectionLow = low;
    vma.protectionHigh = high;
    return true;
  }

  #changeLeaves(vma: VmaCursor, pageTables: PageTables, armed: boolean): LeafVisit & { pages: number } {
    let pages = 0;
    const visit = visitLeaves(pageTables, vma.startPage, vma.endPage, (entry, high) => {
      if (((high & PTE_HIGH_NO_EXECUTE) !== 0) === armed) return;
      this.#writeU32(entry + 4, (high ^ PTE_HIGH_NO_EXECUTE) >>> 0);
      pages++;
    });
    return { ...visit, pages };
  }

  #writeU32(address: number, value: number): void {
    this.#word.writeUInt32LE(value);
    this.#memory.write(address, this.#word);
  }
}

import { TargetError } from '../errors.ts';
import { VmFlag } from '../linux/vma.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import {
  PTE_ACCESSED,
  PTE_HIGH_NO_EXECUTE,
  PTE_HIGH_PROTECTION_KEY,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITABLE,
} from '../x86/pte.ts';

const KINDS = 16;
const KIND_MASK = VmFlag.read | VmFlag.write | VmFlag.exec | VmFlag.shared;
/** A VMA's protection key is in bits 32 to 35 of its flags (VM_PKEY_SHIFT), a PTE's in bits 59 to 62. */
const KEY_MASK = 0xf;
const KEY_SHIFT = 27;

/**
 * What page protection the guest gives to which `vm_flags`: its `protection_map`, as `vm_get_page_prot`
 * (mm/mmap.c up to 5.19, arch/x86/mm/pgprot.c since) uses it. The values are the guest's own, because they
 * hold what only it knows, such as the bit that marks encrypted memory.
 */
export class ProtectionMap {
  /** 16 entries by the lowest four flags (read, write, execute, shared): low word, high word. */
  readonly #words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.#words = words;
  }

  /** Reads the guest's array at that guest-physical address. @throws TargetError where it cannot be one. */
  static read(memory: PhysicalMemory, address: number): ProtectionMap {
    const words = new Uint32Array(2 * KINDS);
    for (let at = 0; at < words.length; at++) words[at] = memory.u32(address + 4 * at);
    for (let kind = 0; kind < KINDS; kind++) {
      if (!isPlausible(kind, words[2 * kind] ?? 0, words[2 * kind + 1] ?? 0))
        throw new TargetError(`the kernel's protection_map is not as expected at entry ${kind}`);
    }
    return new ProtectionMap(words);
  }

  /**
   * Where the array has no symbol: every executable private kind has the value that the text of any program
   * has (PAGE_READONLY_EXEC and PAGE_COPY_EXEC are the same on x86, pgtable_types.h).
   */
  static ofText(low: number, high: number): ProtectionMap {
    if (!isPlausible(VmFlag.read | VmFlag.exec, low, high))
      throw new TargetError('the page protection of program text is not as expected');
    const words = new Uint32Array(2 * KINDS);
    for (let kind = VmFlag.exec; kind < VmFlag.shared; kind++)
      words.set([low, high & ~PTE_HIGH_PROTECTION_KEY], 2 * kind);
    return new ProtectionMap(words);
  }

  /** The low word of `vm_page_prot` for a private executable VMA with these flags. */
  low(flagsLow: number): number {
    return this.#words[2 * (flagsLow & KIND_MASK)] ?? 0;
  }

  /** The high word of the same; the VMA's protection key comes from its flags. */
  high(flagsLow: number, flagsHigh: number): number {
    const high = this.#words[2 * (flagsLow & KIND_MASK) + 1] ?? 0;
    return (high | ((flagsHigh & KEY_MASK) << KEY_SHIFT)) >>> 0;
  }

  /** The high word of an armed VMA's `vm_page_prot`: nothing is fetched from the pages that the guest maps by it. */
  armedHigh(flagsLow: number, flagsHigh: number): number {
    return (this.high(flagsLow, flagsHigh) | PTE_HIGH_NO_EXECUTE) >>> 0;
  }
}

/** Whether a value can be what x86 Linux uses for pages of that kind; only those that anybody may access are looked at. */
function isPlausible(kind: number, low: number, high: number): boolean {
  if ((kind & (VmFlag.read | VmFlag.write | VmFlag.exec)) === 0) return (low & PTE_PRESENT) === 0;
  const wanted = PTE_PRESENT | PTE_USER | PTE_ACCESSED;
  const executable = (high & PTE_HIGH_NO_EXECUTE) === 0;
  const writable = (low & PTE_WRITABLE) !== 0;
  const mayWrite = (kind & VmFlag.shared) !== 0 && (kind & VmFlag.write) !== 0;
  return (low & wanted) === wanted && executable === ((kind & VmFlag.exec) !== 0) && writable === mayWrite;
}

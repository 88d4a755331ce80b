import { type GuestVirtualAddress, gva, gvaOfWords } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import type { VmaCursor } from '../mm/vma-cursor.ts';

/** Longest name of a special mapping, and of anonymous memory (`ANON_VMA_NAME_MAX_LEN`), in bytes. */
const MAX_NAME = 80;

type Reader = Pick<Kernel, 'memory' | 'layout' | 'symbols'>;

/** What the names of an address space's areas depend on. */
interface Limits {
  readonly startBrk: bigint;
  readonly brk: bigint;
  readonly startStack: bigint;
}

/**
 * Names the areas of one address space that no file stands behind, in the order in which the kernel decides
 * (`get_vma_name()`, before 6.11 in `show_map_vma()`, fs/proc/task_mmu.c): `[vdso]` and the like, `[heap]`,
 * `[stack]`, `[anon:…]`.
 */
export class AreaNames {
  readonly #kernel: Reader;
  readonly #limits: Limits;
  readonly #specialMappingName: GuestVirtualAddress | undefined;

  /** Reads the address space's limits; throws a KernelMemoryError or PhysicalMemoryError when it is not there. */
  constructor(kernel: Reader, mm: GuestVirtualAddress) {
    const { mm_struct: layout } = kernel.layout;
    const object = new KernelObject(kernel.memory, mm);
    this.#kernel = kernel;
    this.#limits = {
      startBrk: object.u64(layout.start_brk),
      brk: object.u64(layout.brk),
      startStack: object.u64(layout.start_stack),
    };
    this.#specialMappingName = kernel.symbols.find('special_mapping_name');
  }

  /** The name of an area without a file; empty when it has none. */
  anonymous(cursor: VmaCursor): string {
    const special = this.#specialMapping(cursor);
    if (special !== undefined) return special;
    const start = gvaOfWords(cursor.startHigh, cursor.startLow);
    const end = gvaOfWords(cursor.endHigh, cursor.endLow);
    if (this.#isHeap(start, end)) return '[heap]';
    if (start <= this.#limits.startStack && end >= this.#limits.startStack) return '[stack]';
    const name = this.#givenName(cursor);
    return name === undefined ? '' : `[anon:${name}]`;
  }

  /**
   * The name that a program gave an area of shared anonymous memory (since 6.2); undefined for other files.
   * Before 6.2 the name's place holds other things for areas with a file.
   */
  sharedAnonymous(cursor: VmaCursor): string | undefined {
    const { vm_area_struct: layout } = this.#kernel.layout;
    if (layout.anon_name === undefined || layout.anon_name === layout.shared) return undefined;
    const name = this.#givenName(cursor);
    return name === undefined ? undefined : `[anon_shmem:${name}]`;
  }

  /** Both ends count as inside before 6.6; since then the area must overlap the heap (d3bb89ea9c13). */
  #isHeap(start: bigint, end: bigint): boolean {
    const { startBrk, brk } = this.#limits;
    if (this.#kernel.layout.hasBackingFiles) return start < brk && end > startBrk;
    return start <= brk && end >= startBrk;
  }

  /** Of areas made by `_install_special_mapping()`: vDSO, vvar, `[uprobes]`. */
  #specialMapping(cursor: VmaCursor): string | undefined {
    const { vm_area_struct: layout, vm_operations_struct, vm_special_mapping } = this.#kernel.layout;
    const { memory } = this.#kernel;
    const operations = this.#pointer(cursor, layout.vm_ops);
    if (operations === gva(0n)) return undefined;
    const namer = new KernelObject(memory, operations).pointer(vm_operations_struct.name);
    if (namer === gva(0n) || namer !== this.#specialMappingName) return undefined;
    const mapping = new KernelObject(memory, this.#pointer(cursor, layout.vm_private_data));
    return memory.readCString(mapping.pointer(vm_special_mapping.name), MAX_NAME);
  }

  /** The name that a program gave by `prctl(PR_SET_VMA_ANON_NAME)`, where the kernel keeps such names. */
  #givenName(cursor: VmaCursor): string | undefined {
    const { vm_area_struct: layout, anon_vma_name } = this.#kernel.layout;
    if (layout.anon_name === undefined || anon_vma_name === undefined) return undefined;
    const name = this.#pointer(cursor, layout.anon_name);
    if (name === gva(0n)) return undefined;
    return this.#kernel.memory.readCString(gva(name + BigInt(anon_vma_name.name)), MAX_NAME);
  }

  #pointer(cursor: VmaCursor, offset: number): GuestVirtualAddress {
    const { physical } = this.#kernel.memory;
    return gvaOfWords(physical.u32(cursor.physical + offset + 4), physical.u32(cursor.physical + offset));
  }
}

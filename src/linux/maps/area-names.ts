import { type GuestVirtualAddress, gva, gvaOfWords } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import type { VmaCursor } from '../mm/vma-cursor.ts';

/** Longest name of a special mapping, and of anonymous memory (`ANON_VMA_NAME_MAX_LEN`), in bytes. */
const MAX_NAME = 80;

type Reader = Pick<Kernel, 'memory' | 'layout' | 'symbols'>;

/** An address as its two 32-bit words. */
interface Words {
  readonly high: number;
  readonly low: number;
}

/**
 * Names the areas of one address space that no file stands behind, in the order in which the kernel decides
 * (`get_vma_name()`, before 6.11 in `show_map_vma()`, fs/proc/task_mmu.c): `[vdso]` and the like, `[heap]`,
 * `[stack]`, `[anon:…]`.
 */
export class AreaNames {
  readonly #kernel: Reader;
  readonly #startBrk: Words;
  readonly #brk: Words;
  readonly #startStack: Words;
  readonly #specialMappingName: GuestVirtualAddress | undefined;
  /** `CONFIG_ANON_VMA_NAME`: the types have the name's place also without it (6.1). */
  readonly #hasGivenNames: boolean;

  /** Reads the address space's limits; throws a KernelMemoryError or PhysicalMemoryError when it is not there. */
  constructor(kernel: Reader, mm: GuestVirtualAddress) {
    const { mm_struct: layout } = kernel.layout;
    const object = new KernelObject(kernel.memory, mm);
    this.#kernel = kernel;
    const words = (offset: number) => ({ high: object.u32(offset + 4), low: object.u32(offset) });
    this.#startBrk = words(layout.start_brk);
    this.#brk = words(layout.brk);
    this.#startStack = words(layout.start_stack);
    const symbols = kernel.symbols.findMany(['special_mapping_name', 'anon_vma_name_alloc']);
    this.#specialMappingName = symbols.get('special_mapping_name');
    this.#hasGivenNames = symbols.has('anon_vma_name_alloc');
  }

  /** The name of an area without a file; empty when it has none. */
  anonymous(cursor: VmaCursor): string {
    const special = this.#specialMapping(cursor);
    if (special !== undefined) return special;
    if (this.#isHeap(cursor)) return '[heap]';
    if (startAgainst(cursor, this.#startStack) <= 0 && endAgainst(cursor, this.#startStack) >= 0)
      return '[stack]';
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
  #isHeap(cursor: VmaCursor): boolean {
    const start = startAgainst(cursor, this.#brk);
    const end = endAgainst(cursor, this.#startBrk);
    return this.#kernel.layout.hasBackingFiles ? start < 0 && end > 0 : start <= 0 && end >= 0;
  }

  /** Of areas made by `_install_special_mapping()`: vDSO, vvar, `[uprobes]`. */
  #specialMapping(cursor: VmaCursor): string | undefined {
    const { vm_area_struct: layout, vm_operations_struct, vm_special_mapping } = this.#kernel.layout;
    const { memory } = this.#kernel;
    if (this.#isNull(cursor, layout.vm_ops)) return undefined;
    const operations = this.#pointer(cursor, layout.vm_ops);
    const namer = new KernelObject(memory, operations).pointer(vm_operations_struct.name);
    if (namer === gva(0n) || namer !== this.#specialMappingName) return undefined;
    const mapping = new KernelObject(memory, this.#pointer(cursor, layout.vm_private_data));
    return memory.readCString(mapping.pointer(vm_special_mapping.name), MAX_NAME);
  }

  /** The name that a program gave by `prctl(PR_SET_VMA_ANON_NAME)`, where the kernel keeps such names. */
  #givenName(cursor: VmaCursor): string | undefined {
    const { vm_area_struct: layout, anon_vma_name } = this.#kernel.layout;
    if (!this.#hasGivenNames || layout.anon_name === undefined || anon_vma_name === undefined)
      return undefined;
    if (this.#isNull(cursor, layout.anon_name)) return undefined;
    const name = this.#pointer(cursor, layout.anon_name);
    return this.#kernel.memory.readCString(gva(name + BigInt(anon_vma_name.name)), MAX_NAME);
  }

  #isNull(cursor: VmaCursor, offset: number): boolean {
    const { physical } = this.#kernel.memory;
    return (physical.u32(cursor.physical + offset) | physical.u32(cursor.physical + offset + 4)) === 0;
  }

  #pointer(cursor: VmaCursor, offset: number): GuestVirtualAddress {
    const { physical } = this.#kernel.memory;
    return gvaOfWords(physical.u32(cursor.physical + offset + 4), physical.u32(cursor.physical + offset));
  }
}

/** Below 0, 0 or above 0, as the area's start lies before, at or after an address. */
function startAgainst(cursor: VmaCursor, address: Words): number {
  return cursor.startHigh - address.high || cursor.startLow - address.low;
}

/** The same for the first address after the area. */
function endAgainst(cursor: VmaCursor, address: Words): number {
  return cursor.endHigh - address.high || cursor.endLow - address.low;
}

import type { GuestVirtualAddress } from '../../memory/address.ts';
import type { TrapSite } from '../trap.ts';

/** Arguments of a function, by their place (System V ABI for x86-64, 3.2.3). */
export type ArgumentIndex = 0 | 1 | 2 | 3 | 4 | 5;

/** Whose arrival matters: that of every process, or those of protected address spaces (`mm_struct`), found in one way. */
export type AddressSpaceSource =
  | { readonly kind: 'any' }
  /** That of the running task. */
  | { readonly kind: 'current' }
  /** An argument points to it. */
  | { readonly kind: 'argument'; readonly argument: ArgumentIndex }
  /** A member of the structure that an argument points to does: `vma->vm_mm`. */
  | { readonly kind: 'member'; readonly argument: ArgumentIndex; readonly offset: number }
  /**
   * No address space, but what is being executed: an argument is a `linux_binprm`. Arrivals of programs that are known
   * not to matter are left out.
   */
  | { readonly kind: 'program'; readonly argument: ArgumentIndex; readonly layout: ProgramLayout };

/** Byte offsets by which a stub tells one program from another. */
export interface ProgramLayout {
  /** Of `linux_binprm.file` and `filename`. */
  readonly file: number;
  readonly filename: number;
  /** Of `file.f_path.mnt` and `dentry`. */
  readonly mount: number;
  readonly dentry: number;
  /** Of `dentry.d_name.hash_len`. */
  readonly nameHash: number;
}

/** A condition that a stub tests in the guest before it asks. */
export type StubTest =
  /** `(argument & mask) == equals`, 32 bits. */
  | {
      readonly kind: 'bits';
      readonly argument: ArgumentIndex;
      readonly mask: number;
      readonly equals: number;
    }
  /** Some bit of the mask is set in the byte at an offset in the structure that an argument points to. */
  | {
      readonly kind: 'flag';
      readonly argument: ArgumentIndex;
      readonly offset: number;
      readonly mask: number;
    }
  /** The pointer at an offset in the structure that an argument points to is null. */
  | { readonly kind: 'null'; readonly argument: ArgumentIndex; readonly offset: number };

/** What a stub does with an arrival that passes its filter. */
export type HookKind =
  /** Asks the engine. Nobody answers: the function runs. */
  | { readonly kind: 'ask' }
  /**
   * Asks the engine about a fault. Nobody answers, or the address space is not protected (any more): where the page
   * of the faulting address was armed, it is made executable and the function left out.
   */
  | { readonly kind: 'catch'; readonly address: ArgumentIndex; readonly release: boolean }
  /**
   * Never asks: at `ptep_set_access_flags` and `pmdp_set_access_flags`, takes the permission to execute from a page of
   * an armed VMA that is about to become writable again. `clear` is the kernel's function that clears and flushes the
   * entry: `ptep_clear_flush` or `pmdp_invalidate`.
   */
  | { readonly kind: 'rearm'; readonly clear: GuestVirtualAddress };

/** What a detour at a function filters in the guest, and what it does. */
export interface Hook {
  readonly does: HookKind;
  readonly addressSpace: AddressSpaceSource;
  /** All must hold. */
  readonly tests: readonly StubTest[];
}

/** A site with a filter of its own; one without gets that of {@link hookFor}. */
export interface DetourSite extends TrapSite {
  readonly hook?: Hook;
}

/**
 * Bits of page-table entries, split into the two 32-bit words in which walkers read them. Those of the CPU
 * are from the Intel SDM vol. 3A, tables 4-15 to 4-20; those of Linux from its
 * `arch/x86/include/asm/pgtable_types.h`.
 */

/** The entry points to something (bit 0). */
export const PTE_PRESENT = 0x001;
/** Writes are allowed (bit 1). */
export const PTE_WRITABLE = 0x002;
/** User mode may access (bit 2). */
export const PTE_USER = 0x004;
/** Page-level write-through (bit 3). */
export const PTE_WRITE_THROUGH = 0x008;
/** Page-level cache disable (bit 4). */
export const PTE_CACHE_DISABLE = 0x010;
/** The CPU has used the entry (bit 5). */
export const PTE_ACCESSED = 0x020;
/** The CPU has written through the leaf entry (bit 6). */
export const PTE_DIRTY = 0x040;
/** In a directory or directory-pointer entry: it maps a page of 2 MiB or 1 GiB itself (bit 7). */
export const PTE_LARGE = 0x080;
/** Survives a change of CR3 (bit 8). */
export const PTE_GLOBAL = 0x100;
/** Linux: no entry for PROT_NONE; the page is there, but not present to the CPU (`_PAGE_PROTNONE`, bit 8). */
export const PTE_PROT_NONE = 0x100;
/** Linux: no `struct page` stands behind it (`_PAGE_SPECIAL`, bit 9). */
export const PTE_SPECIAL = 0x200;
/** Linux: write-protected by userfaultfd (`_PAGE_UFFD_WP`, bit 10). */
export const PTE_UFFD_WRITE_PROTECTED = 0x400;
/** Linux: written since soft-dirty was last cleared (`_PAGE_SOFT_DIRTY`, bit 11). */
export const PTE_SOFT_DIRTY = 0x800;
/** The frame number's bits in the low word of a 4 KiB page's entry. */
export const PTE_FRAME_LOW = 0xffff_f000;

/** The frame number's bits in the high word: physical addresses have at most 52 bits (SDM vol. 3A 4.4.1). */
export const PTE_FRAME_HIGH = 0x000f_ffff;
/** Linux since 6.6: dirty, though read-only, kept apart from shadow stacks (`_PAGE_SAVED_DIRTY`, bit 58). */
export const PTE_HIGH_SAVED_DIRTY = 0x0400_0000;
/** The protection key (bits 59 to 62). */
export const PTE_HIGH_PROTECTION_KEY = 0x7800_0000;
/** Instructions are not fetched from here, when EFER.NXE is set (bit 63). */
export const PTE_HIGH_NO_EXECUTE = 0x8000_0000;

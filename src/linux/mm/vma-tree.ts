import type { VmaCursor } from './vma-cursor.ts';

/**
 * The most VMAs that a walk visits (the reference page's `LIX_VMA_MAX_GUEST`, there 40 960). A process has
 * 65 530 at most unless its administrator raises `vm.max_map_count`; walks that reach the bound say so.
 */
export const MAX_VMAS = 4 * 1024 * 1024;

/** Towards higher addresses, or towards lower ones. */
export type Direction = 'forward' | 'backward';

/** How a kernel keeps a process's VMAs. */
export type VmaTreeKind = 'maple' | 'rbtree' | 'list';

/**
 * The VMAs of one address space in order of address, whatever structure the guest's kernel keeps them in.
 * Every method throws a VmaTreeError when what it reads cannot be (see {@link Cut}); trying again may help, as
 * the guest changes the structure while it is read.
 */
export interface VmaTree {
  readonly kind: VmaTreeKind;
  /** Moves to the VMA that holds a page, else to the nearest one in that direction; false when there is none. */
  seek(page: number, direction: Direction, cursor: VmaCursor): boolean;
  /** Moves from the VMA that the cursor stands on to its neighbour; false when there is none. */
  step(direction: Direction, cursor: VmaCursor): boolean;
}

import { type GuestVirtualAddress, highWord, lowWord } from '../../memory/address.ts';
import { PhysicalMemoryError } from '../../memory/physical-memory.ts';
import type { Kernel } from '../kernel.ts';
import { KernelMemoryError } from '../kernel-memory.ts';
import { VmaList } from './list.ts';
import { VmaMapleTree } from './maple.ts';
import { VmaRbTree } from './rbtree.ts';
import { pageNumber, type VmaCursor } from './vma-cursor.ts';
import type { VmaTree } from './vma-tree.ts';
import { VmaTreeError } from './vma-tree-error.ts';

/** How often a look-up is tried again when it meets what the guest is changing at that moment. */
const TRIES = 4;

/**
 * The structures in which this kernel keeps the VMAs of an address space (address of its `mm_struct`), best
 * first: the maple tree, or the red-black tree and then the list. Decided by what the kernel's types have.
 */
export function vmaTrees(kernel: Pick<Kernel, 'memory' | 'layout'>, mm: GuestVirtualAddress): VmaTree[] {
  const { mm_struct, vm_area_struct: vma, maple_node: node, maple } = kernel.layout;
  const high = highWord(mm);
  const low = lowWord(mm);
  const trees: VmaTree[] = [];
  if (mm_struct.mm_mt_root !== undefined && node !== undefined && maple !== undefined) {
    const layout = {
      ...maple,
      root: mm_struct.mm_mt_root,
      nodeSize: node.size,
      parent: node.parent,
      rangePivots: node.range_pivots,
      rangeSlotsAt: node.range_slots,
      arangePivots: node.arange_pivots,
      arangeSlotsAt: node.arange_slots,
    };
    trees.push(new VmaMapleTree(kernel, layout, high, low));
  }
  if (mm_struct.mm_rb !== undefined && vma.vm_rb !== undefined)
    trees.push(new VmaRbTree(kernel, { mm_rb: mm_struct.mm_rb, vm_rb: vma.vm_rb }, high, low));
  if (mm_struct.mmap !== undefined && vma.vm_next !== undefined && vma.vm_prev !== undefined)
    trees.push(
      new VmaList(kernel, { mmap: mm_struct.mmap, vm_next: vma.vm_next, vm_prev: vma.vm_prev }, high, low),
    );
  return trees;
}

/**
 * Finds the VMA that holds a user address (its two 32-bit words) in an address space: false when there is none.
 *
 * The reference page's `IntLixMmFetchVma`: the tree first; a hit is trusted. A miss of the tree is not where
 * there is also a list, as the guest may have been turning the tree over; the list decides then. Whatever
 * cannot be right is read again, four times at most, before the next structure is asked. Throws a VmaTreeError
 * when none of them gives an answer.
 */
export function findVma(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  mm: GuestVirtualAddress,
  high: number,
  low: number,
  cursor: VmaCursor,
): boolean {
  const page = pageNumber(high, low);
  let failure: VmaTreeError | undefined;
  for (const tree of vmaTrees(kernel, mm)) {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      try {
        if (tree.seek(page, 'forward', cursor) && cursor.contains(page)) return true;
        failure = undefined;
        break;
      } catch (error) {
        failure = asTreeError(error, mm);
      }
    }
  }
  if (failure !== undefined) throw failure;
  return false;
}

/** Both limits of the VMA that holds a user address (`IntLixMmFindVmaRange`); undefined when there is none. */
export function findVmaRange(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  mm: GuestVirtualAddress,
  high: number,
  low: number,
  cursor: VmaCursor,
): { readonly startPage: number; readonly endPage: number } | undefined {
  if (!findVma(kernel, mm, high, low, cursor)) return undefined;
  return { startPage: cursor.startPage, endPage: cursor.endPage };
}

/** Memory that is not there, as an error of the walk at the address space; other errors are thrown on. */
export function asTreeError(error: unknown, mm: GuestVirtualAddress): VmaTreeError {
  if (error instanceof VmaTreeError) return error;
  if (error instanceof KernelMemoryError || error instanceof PhysicalMemoryError)
    return new VmaTreeError('unreadable', 'mm_struct', highWord(mm), lowWord(mm));
  throw error;
}

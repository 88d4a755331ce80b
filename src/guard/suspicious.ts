import type { KernelLayout } from '../linux/layout.ts';
import type { VmaCursor } from '../linux/mm/vma-cursor.ts';
import { VmFlag } from '../linux/vma.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';

/**
 * Whether a VMA may be executed though no program or library stands behind it: anonymous memory, heap or stack.
 * No file, and no operations: mappings that the kernel itself installs (vDSO, vvar, uprobes; `_install_special_mapping`,
 * mm/mmap.c) have operations, so they are left alone.
 */
export function isSuspicious(memory: PhysicalMemory, layout: KernelLayout, vma: VmaCursor): boolean {
  if ((vma.flagsLow & VmFlag.exec) === 0 || (vma.fileHigh | vma.fileLow) !== 0) return false;
  const operations = vma.physical + layout.vm_area_struct.vm_ops;
  return (memory.u32(operations) | memory.u32(operations + 4)) === 0;
}

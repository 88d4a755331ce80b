import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, highWord, lowWord } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import type { VmaCursor } from '../mm/vma-cursor.ts';
import { type Backing, NOTHING } from './row.ts';

/** Bit `MM_CONTEXT_HAS_VSYSCALL` of `mm->context.flags` (arch/x86/include/asm/mmu.h). */
const HAS_VSYSCALL = 1 << 1;

/** What stands behind the vsyscall page. */
export const VSYSCALL: Backing = { ...NOTHING, path: '[vsyscall]' };

/**
 * Moves a cursor to the vsyscall page, which `/proc/PID/maps` shows last though it is no area of the process:
 * `gate_vma`, for 64-bit processes unless the guest runs with `vsyscall=none` (`get_gate_vma()`,
 * arch/x86/entry/vsyscall/vsyscall_64.c). False where it is not shown.
 */
export function enterVsyscall(
  kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>,
  mm: GuestVirtualAddress,
  cursor: VmaCursor,
): boolean {
  const { vm_area_struct: layout } = kernel.layout;
  const found = kernel.symbols.findMany(['gate_vma', 'vsyscall_mode']);
  const gate = found.get('gate_vma');
  const mode = found.get('vsyscall_mode');
  if (gate === undefined || mode === undefined) return false;
  try {
    if (kernel.memory.readU32(mode) === kernel.layout.vsyscallNone || isCompat(kernel, mm)) return false;
    const area = new KernelObject(kernel.memory, gate);
    cursor.startHigh = area.u32(layout.vm_start + 4);
    cursor.startLow = area.u32(layout.vm_start);
    cursor.endHigh = area.u32(layout.vm_end + 4);
    cursor.endLow = area.u32(layout.vm_end);
    cursor.flagsLow = area.u32(layout.vm_flags);
    cursor.fileHigh = 0;
    cursor.fileLow = 0;
    return true;
  } catch (error) {
    if (error instanceof UnderwatchError) return false;
    throw error;
  }
}

/** Whether an address space belongs to a 32-bit program. */
function isCompat(kernel: Pick<Kernel, 'memory' | 'layout'>, mm: GuestVirtualAddress): boolean {
  const { context_flags: flags, context_ia32_compat: compat } = kernel.layout.mm_struct;
  const { physical } = kernel.memory;
  const at = kernel.memory.locate(highWord(mm), lowWord(mm));
  if (flags !== undefined) return (physical.u8(at + flags) & HAS_VSYSCALL) === 0;
  return compat !== undefined && physical.u16(at + compat) !== 0;
}

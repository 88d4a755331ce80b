import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, highWord, lowWord } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import { type MapsRow, permissionsOf } from './row.ts';

/** Bit `MM_CONTEXT_HAS_VSYSCALL` of `mm->context.flags` (arch/x86/include/asm/mmu.h). */
const HAS_VSYSCALL = 1 << 1;

/**
 * The row of the vsyscall page, which `/proc/PID/maps` shows last though it is no area of the process:
 * `gate_vma`, for 64-bit processes unless the guest runs with `vsyscall=none` (`get_gate_vma()`,
 * arch/x86/entry/vsyscall/vsyscall_64.c). Undefined where it is not shown.
 */
export function vsyscallRow(
  kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>,
  mm: GuestVirtualAddress,
): MapsRow | undefined {
  const { vm_area_struct: layout } = kernel.layout;
  const gate = kernel.symbols.find('gate_vma');
  const mode = kernel.symbols.find('vsyscall_mode');
  if (gate === undefined || mode === undefined) return undefined;
  try {
    if (kernel.memory.readU32(mode) === kernel.layout.vsyscallNone || isCompat(kernel, mm)) return undefined;
    const area = new KernelObject(kernel.memory, gate);
    return {
      start: area.u64(layout.vm_start),
      end: area.u64(layout.vm_end),
      permissions: permissionsOf(area.u32(layout.vm_flags)),
      offset: 0n,
      major: 0,
      minor: 0,
      inode: 0n,
      path: '[vsyscall]',
    };
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
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

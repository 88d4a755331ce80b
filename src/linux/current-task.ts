import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { Registers } from '../x86/registers.ts';
import type { Kernel } from './kernel.ts';

/** Bit 63: set in every address of the kernel's half. */
const KERNEL_HALF = 1n << 63n;

/**
 * The `task_struct` that a vCPU runs: its per-CPU variable `current_task` (in `pcpu_hot` from 6.2 to 6.14). The
 * symbol is an offset into the per-CPU area, or, where that area is not linked at 0 (since 6.15), an address
 * from which the CPU's GS base counts all the same; both are added to it modulo 2^64.
 *
 * GS base is the kernel's own where it is a kernel address, else the swapped one is (`swapgs`). Undefined when
 * neither is: the CPU has not been set up.
 */
export function currentTask(
  kernel: Pick<Kernel, 'memory' | 'symbols' | 'layout'>,
  registers: Registers,
): GuestVirtualAddress | undefined {
  const active = registers.get('gs_base');
  const base = active >= KERNEL_HALF ? active : registers.get('k_gs_base');
  if (base < KERNEL_HALF) return undefined;
  const { pcpu_hot: hot } = kernel.layout;
  const place =
    hot === undefined
      ? kernel.symbols.require('current_task')
      : kernel.symbols.require('pcpu_hot') + BigInt(hot.current_task);
  return gva(kernel.memory.readU64(gva(base + place)));
}

import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { KernelObject } from '../kernel-object.ts';
import { type OpenFile, readFile } from './file.ts';
import type { KernelPath } from './path.ts';

/**
 * The executable of an address space (`mm->exe_file`), what `/proc/PID/exe` points to; undefined for one that
 * has none or whose file cannot be read.
 */
export function readExeFile(
  kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>,
  mm: GuestVirtualAddress,
  root: KernelPath,
): OpenFile | undefined {
  try {
    const file = new KernelObject(kernel.memory, mm).pointer(kernel.layout.mm_struct.exe_file);
    return file === gva(0n) ? undefined : readFile(kernel, file, root);
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
    throw error;
  }
}

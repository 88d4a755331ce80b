import type { GuestVirtualAddress } from '../memory/address.ts';
import { gva } from '../memory/address.ts';
import type { Kernel } from './kernel.ts';
import { KernelObject } from './kernel-object.ts';
import { UserMemory } from './user-memory.ts';

/** Bytes of arguments that are read; what is longer is cut. */
const MAX_BYTES = 64 * 1024;

/** A process's arguments as it was started with them, or as it wrote over them since. */
export interface CommandLine {
  readonly arguments: readonly string[];
  /** Whether arguments are missing: longer than 64 KiB, or not in RAM. */
  readonly truncated: boolean;
}

/** Reads the arguments of an address space: `mm->arg_start` to `mm->arg_end` of its user memory. */
export function readCommandLine(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  mm: GuestVirtualAddress,
): CommandLine {
  const { mm_struct: layout } = kernel.layout;
  const object = new KernelObject(kernel.memory, mm);
  const start = object.u64(layout.arg_start);
  const end = object.u64(layout.arg_end);
  if (end <= start) return { arguments: [], truncated: false };
  const length = end - start > BigInt(MAX_BYTES) ? MAX_BYTES : Number(end - start);
  const bytes = Buffer.alloc(length);
  const read = new UserMemory(kernel, mm).read(gva(start), bytes);
  const text = bytes.toString('utf8', 0, read).replace(/\0$/, '');
  return {
    arguments: text === '' ? [] : text.split('\0'),
    truncated: BigInt(read) < end - start,
  };
}

import type { Kernel } from '../../src/linux/kernel.ts';
import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';

/** A jump or a NOP of a static branch is at most this long (arch/x86/include/asm/jump_label.h). */
const BRANCH_LENGTH = 5;

/** The kernel's text without its static branches, which the kernel itself changes at any time. */
export interface KernelText {
  readonly kernel: Kernel;
  readonly start: GuestVirtualAddress;
  readonly bytes: Uint8Array;
}

export function kernelText(kernel: Kernel): KernelText {
  const { memory, symbols } = kernel;
  const start = symbols.require('_stext');
  const bytes = memory.readBytes(start, Number(symbols.require('_etext') - start));
  const table = symbols.require('__start___jump_table');
  const entries = Buffer.from(
    memory.readBytes(table, Number(symbols.require('__stop___jump_table') - table)),
  );
  for (let at = 0; at + 16 <= entries.length; at += 16) {
    const offset = Number(table - start) + at + entries.readInt32LE(at);
    if (offset >= 0) bytes.fill(0, offset, offset + BRANCH_LENGTH);
  }
  return { kernel, start, bytes };
}

/** The functions in which two texts of one kernel differ. */
export function changedFunctions(before: KernelText, after: KernelText): string[] {
  const changed = new Set<string>();
  for (const [offset, byte] of before.bytes.entries())
    if (byte !== after.bytes[offset])
      changed.add(after.kernel.symbols.nearest(gva(after.start + BigInt(offset)))?.name ?? '?');
  return [...changed];
}

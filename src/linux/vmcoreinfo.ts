import { gva } from '../memory/address.ts';
import { type KernelMemory, KernelMemoryError } from './kernel-memory.ts';
import type { SymbolTable } from './symbols.ts';

/** `VMCOREINFO_BYTES` is a page; more is never read. */
const MAX_BYTES = 4096;

/**
 * What the kernel writes down about itself for dump tools (`kernel/crash_core.c`, later `vmcore_info.c`):
 * `OSRELEASE`, `BUILD-ID`, `KERNELOFFSET`, `NUMBER(phys_base)` and more. Empty where the kernel keeps none:
 * nothing here needs it, and whatever it says is the guest's word.
 */
export function readVmcoreinfo(memory: KernelMemory, symbols: SymbolTable): ReadonlyMap<string, string> {
  const pointer = symbols.find('vmcoreinfo_data');
  if (pointer === undefined) return new Map();
  try {
    return parseVmcoreinfo(memory.readCString(gva(memory.readU64(pointer)), MAX_BYTES));
  } catch (error) {
    if (error instanceof KernelMemoryError) return new Map();
    throw error;
  }
}

/** `NAME=VALUE`, a line each; what is not of that form is left out. */
export function parseVmcoreinfo(text: string): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (equals > 0) entries.set(line.slice(0, equals), line.slice(equals + 1));
  }
  return entries;
}

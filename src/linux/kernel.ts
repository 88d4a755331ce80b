import type { GuestVirtualAddress } from '../memory/address.ts';
import type { Btf } from './btf.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { KernelLayout } from './layout.ts';
import type { SymbolTable } from './symbols.ts';

/** A Linux kernel that was found in guest memory, with all that reading its structures needs. */
export interface Kernel {
  readonly memory: KernelMemory;
  readonly symbols: SymbolTable;
  readonly types: Btf;
  readonly layout: KernelLayout;
  /** Run-time address of `_text`. */
  readonly textBase: GuestVirtualAddress;
  /** `Linux version 6.1.0-56-cloud-amd64 (…) …`, without the newline. */
  readonly banner: string;
  /** `6.1.0-56-cloud-amd64`. */
  readonly release: string;
  readonly found: KernelDiscovery;
}

/** How a kernel was found. */
export interface KernelDiscovery {
  readonly method: 'registers' | 'vmcoreinfo' | 'memory';
  /** Wall time of each step, in milliseconds, in the order they ran. */
  readonly steps: readonly { readonly name: string; readonly milliseconds: number }[];
}

/** How long finding a kernel took in all, in milliseconds. */
export function discoveryMilliseconds({ steps }: KernelDiscovery): number {
  return steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

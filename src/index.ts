/**
 * Underwatch as a library: open a running machine or a memory image, and read the kernel in it.
 *
 * @module underwatch
 */
export { TargetError, TargetLostError, UnderwatchError, UsageError } from './errors.ts';
export type { Kernel, KernelDiscovery } from './linux/kernel.ts';
export type { LiveMachine, Machine } from './machine/machine.ts';
export { type GuestPhysicalAddress, type GuestVirtualAddress, gpa, gva } from './memory/address.ts';
export type { PhysicalMemory, PhysicalRange } from './memory/physical-memory.ts';
export { type OpenOptions, openMachine, openTarget, type Target } from './target.ts';

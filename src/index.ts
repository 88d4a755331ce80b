/**
 * Underwatch as a library: open a running machine or a memory image, and read the kernel in it.
 *
 * @example
 * await using target = await openTarget('memory.elf');
 * for (const process of processesOf(target))
 *   for (const row of mapsOf(target, process).rows) console.log(process.tgid, formatMapsRow(row));
 *
 * @module underwatch
 */
export { TargetError, TargetLostError, UnderwatchError, UsageError } from './errors.ts';
export { forEachVma, mapsOf, type OnCut, processesOf, threadsOf, vmasOf } from './library.ts';
export { type Cut, type CutReason, describeCut } from './linux/cut.ts';
export type { Kernel, KernelDiscovery } from './linux/kernel.ts';
export { formatMapsRow, type Maps, type MapsRow } from './linux/maps.ts';
export type { VmaCursor } from './linux/mm/vma-cursor.ts';
export type { Task } from './linux/task.ts';
export { type Vma, VmFlag } from './linux/vma.ts';
export type { Image } from './machine/image/image.ts';
export type { RamLayout } from './machine/image/ram-layout.ts';
export type { LiveMachine, Machine } from './machine/machine.ts';
export {
  type GuestPhysicalAddress,
  type GuestVirtualAddress,
  gpa,
  gva,
  hex,
} from './memory/address.ts';
export type { PhysicalMemory, PhysicalRange } from './memory/physical-memory.ts';
export { type OpenOptions, openMachine, openTarget, type Target } from './target.ts';

import { TargetError } from '../errors.ts';
import type { VcpuState } from '../machine/machine.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import { releaseOf } from './banner.ts';
import { locateBtf } from './btf/locate.ts';
import type { Btf } from './btf/types.ts';
import type { Kernel, KernelDiscovery } from './kernel.ts';
import { buildLayout } from './layout.ts';
import { describeAbsence } from './locate/absence.ts';
import { locateByMemory } from './locate/by-memory.ts';
import { locateByRegisters } from './locate/by-registers.ts';
import { locateByVmcoreinfo } from './locate/by-vmcoreinfo.ts';
import type { LocatedKernel, Rejection } from './locate/identify.ts';
import { guestClocks } from './timekeeping.ts';

/** What is known besides memory. */
export interface FindOptions {
  /** The vCPUs' registers. Where they are given, the kernel that they run is found, and no other. */
  readonly vcpus?: readonly VcpuState[];
  /** VMCOREINFO as an image carries it; asked where registers are not given, or lead nowhere. */
  readonly vmcoreinfo?: string;
  /** Whether memory is searched where registers and VMCOREINFO lead nowhere, too. */
  readonly orByMemory?: boolean;
}

/** `system_state` from which on the kernel runs processes (`enum system_states`, `include/linux/kernel.h`). */
const SYSTEM_FREEING_INITMEM = 2;

/**
 * Finds the Linux kernel in guest-physical memory: its address space, symbols, types and structure layouts.
 * With registers only the kernel's image is searched; from memory alone, one word of every page is read, too,
 * as a reboot may have left a kernel that no longer runs: of several, the one whose clock is latest. Throws a TargetError that says what is missing: no Linux, still booting, a kernel without
 * symbols for its data, or one without types.
 */
export function findKernel(memory: PhysicalMemory, options: FindOptions = {}): Kernel {
  const stopwatch = new Stopwatch();
  const { method, located } = locate(memory, options);
  stopwatch.lap('page tables and symbols');
  requireBooted(located);
  const types = locateBtf(located.memory, located.symbols);
  stopwatch.lap('types');
  const layout = buildLayout(types);
  stopwatch.lap('layout');
  return {
    ...located,
    types,
    layout,
    textBase: located.memory.image.virtualStart,
    release: releaseOf(located.banner),
    found: { method, steps: stopwatch.steps },
  };
}

interface Finding {
  readonly method: KernelDiscovery['method'];
  readonly located: LocatedKernel;
}

/** By the shortest way that what is known allows. */
function locate(memory: PhysicalMemory, options: FindOptions): Finding {
  const { vcpus, vmcoreinfo, orByMemory = vcpus === undefined } = options;
  let rejection: Rejection | undefined;
  for (const vcpu of vcpus ?? []) {
    const result = locateByRegisters(memory, vcpu);
    if (typeof result === 'object') return { method: 'registers', located: result };
    rejection ??= result;
  }
  const noted = vmcoreinfo === undefined ? undefined : locateByVmcoreinfo(memory, vmcoreinfo);
  if (noted !== undefined) return { method: 'vmcoreinfo', located: noted };
  if (orByMemory) return { method: 'memory', located: fromMemory(memory) };
  throw new TargetError(describeAbsence(memory, rejection));
}

/** Of several kernels in memory, the one whose clock is latest. */
function fromMemory(memory: PhysicalMemory): LocatedKernel {
  const kernels: LocatedKernel[] = [];
  let rejection: Rejection | undefined;
  for (const result of locateByMemory(memory)) {
    if (typeof result === 'object') kernels.push(result);
    else rejection ??= result;
  }
  const [first, ...others] = kernels;
  if (first === undefined) throw new TargetError(describeAbsence(memory, rejection));
  if (others.length === 0) return first;
  return kernels.reduce((latest, kernel) => (clockOf(kernel) > clockOf(latest) ? kernel : latest));
}

/** Seconds since 1970, or -1 for a kernel whose types or clock cannot be read any more. */
function clockOf(kernel: LocatedKernel): number {
  let types: Btf;
  try {
    types = locateBtf(kernel.memory, kernel.symbols);
  } catch (error) {
    if (error instanceof TargetError) return -1;
    throw error;
  }
  return guestClocks(kernel.memory, kernel.symbols, types)?.wall ?? -1;
}

function requireBooted({ memory, symbols, banner }: LocatedKernel): void {
  const state = symbols.find('system_state');
  if (state !== undefined && memory.readU32(state) < SYSTEM_FREEING_INITMEM) {
    throw new TargetError(`Linux ${releaseOf(banner)} is still booting: it has not started a process yet`);
  }
}

/** Measures consecutive steps by wall time. */
class Stopwatch {
  readonly steps: KernelDiscovery['steps'][number][] = [];
  #since = performance.now();

  lap(name: string): void {
    const now = performance.now();
    this.steps.push({ name, milliseconds: now - this.#since });
    this.#since = now;
  }
}

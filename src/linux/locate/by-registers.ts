import type { VcpuState } from '../../machine/machine.ts';
import { highWord, lowWord } from '../../memory/address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { isLongMode, kernelRootUnderKpti, pagingLevels, rootOfCr3 } from '../../x86/control-registers.ts';
import { interruptHandler, PAGE_FAULT_VECTOR } from '../../x86/interrupt-gate.ts';
import { PageTables, type PagingLevels } from '../../x86/page-tables.ts';
import type { LinearMapping } from '../kernel-memory.ts';
import { identifyKernel, type LocatedKernel, type Rejection } from './identify.ts';
import { imageDirectory, imageMapping } from './image-mapping.ts';

/**
 * Finds the kernel that a vCPU runs, or that the process on it would call: its page tables map the kernel's
 * image, and its page fault handler lies in that. In user mode under KPTI they map the handler only; then
 * the kernel's own root, the table before it, is taken.
 *
 * Answers with what spoke against it where there is no kernel, and with undefined where nothing is mapped
 * like a kernel (firmware, boot loader, another system).
 */
export function locateByRegisters(
  memory: PhysicalMemory,
  vcpu: VcpuState,
): LocatedKernel | Rejection | undefined {
  if (!isLongMode(vcpu.registers)) return undefined;
  const levels = pagingLevels(vcpu.registers);
  const root = rootOfCr3(vcpu.registers);
  let rejection: Rejection | undefined;
  for (const candidate of new Set([kernelRootUnderKpti(root), root])) {
    const directory = imageDirectory(memory, candidate, levels);
    const image = directory < 0 ? undefined : imageMapping(memory, directory);
    if (image === undefined || !handlerLiesIn(memory, root, levels, vcpu, image)) continue;
    const result = identifyKernel(memory, image);
    if (typeof result !== 'string') return result;
    rejection = result;
  }
  return rejection;
}

/** True also where no handler can be read: CPUs with FRED have no interrupt descriptor table. */
function handlerLiesIn(
  memory: PhysicalMemory,
  root: number,
  levels: PagingLevels,
  vcpu: VcpuState,
  image: LinearMapping,
): boolean {
  const tables = new PageTables(memory, root, levels);
  const table = tables.translate(highWord(vcpu.idtBase), lowWord(vcpu.idtBase));
  const handler = table < 0 ? undefined : interruptHandler(memory, table, PAGE_FAULT_VECTOR);
  if (handler === undefined) return true;
  const offset = handler - image.virtualStart;
  return offset >= 0n && offset < image.size;
}

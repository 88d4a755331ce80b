import { TargetError } from '../../../errors.ts';
import type { Kernel } from '../../../linux/kernel.ts';
import type { GuestVirtualAddress } from '../../../memory/address.ts';
import { type Memory, perCpu } from '../stub-assembler.ts';

/** What stubs need to know of the kernel that they will run in, and of the engine's own places there. */
export interface StubEnvironment {
  /** The per-CPU variable that points to the running `task_struct`. */
  readonly currentTask: Memory;
  /** The per-CPU variable that holds the CPU's number (32 bits). */
  readonly cpuNumber: Memory;
  /** Offsets of `task_struct.mm`, `mm_struct.pgd`, `vm_area_struct.vm_flags` and `vm_page_prot`. */
  readonly taskMm: number;
  readonly mmPgd: number;
  readonly vmaFlags: number;
  readonly vmaProtection: number;
  /** Where RAM is mapped linearly. */
  readonly directMap: bigint;
  readonly pagingLevels: 4 | 5;
  readonly forceSig: bigint;
  readonly mailbox: GuestVirtualAddress;
  /** The table of protected address spaces: see filter-table.ts. */
  readonly filterTable: GuestVirtualAddress;
  /** The table of programs that do not matter: the same. */
  readonly programTable: GuestVirtualAddress;
  /** The I/O port that rings the engine; undefined when it polls. */
  readonly doorbellPort: number | undefined;
}

/** Looks up what stubs need in a kernel. @throws TargetError that names what is missing */
export function stubEnvironment(
  kernel: Kernel,
  places: Pick<StubEnvironment, 'mailbox' | 'filterTable' | 'programTable' | 'doorbellPort'>,
): StubEnvironment {
  const { layout, memory, symbols } = kernel;
  if (memory.directMap === undefined) throw new TargetError('the base of the direct map is not known');
  return {
    ...places,
    currentTask: perCpu(perCpuAddress(kernel, 'current_task')),
    cpuNumber: perCpu(perCpuAddress(kernel, 'cpu_number')),
    taskMm: layout.task_struct.mm,
    mmPgd: layout.mm_struct.pgd,
    vmaFlags: layout.vm_area_struct.vm_flags,
    vmaProtection: layout.vm_area_struct.vm_page_prot,
    directMap: memory.directMap.virtualStart,
    pagingLevels: memory.pageTables.levels,
    forceSig: symbols.require('force_sig'),
  };
}

/**
 * The address of a per-CPU variable as `gs` takes it, sign-extended from 32 bits: its offset in the per-CPU area, or
 * its kernel address where that area is not linked at 0 (since 6.15). From 6.2 to 6.14 it is in `pcpu_hot`.
 */
function perCpuAddress({ symbols, types }: Kernel, name: string): bigint {
  const hot = symbols.find('pcpu_hot');
  const member = types.member('pcpu_hot', name);
  const found =
    hot !== undefined && member !== undefined ? hot + BigInt(member.offset) : symbols.require(name);
  const signed = BigInt.asIntN(64, found);
  if (BigInt.asIntN(32, signed) !== signed)
    throw new TargetError(`the per-CPU variable ${name} is out of reach of a stub`);
  return BigInt.asUintN(64, found);
}

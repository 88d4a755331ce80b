import { createHash } from 'node:crypto';
import type { Kernel } from '../../src/linux/kernel.ts';
import type { VmaCursor } from '../../src/linux/mm/vma-cursor.ts';
import { walkVmas } from '../../src/linux/mm/walk.ts';
import { listProcesses } from '../../src/linux/task-list.ts';
import { UserMemory } from '../../src/linux/user-memory.ts';
import { VmFlag } from '../../src/linux/vma.ts';
import { gva, hex } from '../../src/memory/address.ts';
import { visitLeaves } from '../../src/x86/leaf-entries.ts';
import { PTE_HIGH_NO_EXECUTE } from '../../src/x86/pte.ts';

const KIND = VmFlag.read | VmFlag.write | VmFlag.exec | VmFlag.shared;

/**
 * Everything in the guest that differs from what its own `vm_flags` give, as a line each: `vm_page_prot` of
 * anonymous memory, which must be the value of the guest's `protection_map`, and every present entry of every VMA,
 * which must allow execution if and only if the VMA does.
 */
export function protectionProblems(kernel: Kernel): string[] {
  const problems: string[] = [];
  const map = kernel.symbols.require('protection_map');
  for (const process of listProcesses(kernel).tasks) {
    if (process.mm === gva(0n)) continue;
    const { pageTables } = new UserMemory(kernel, process.mm);
    const cut = walkVmas(kernel, process.mm, (vma) => {
      const where = `${process.comm}[${process.tgid}] ${vma.startPage.toString(16)}-${vma.endPage.toString(16)}`;
      const executable = (vma.flagsLow & VmFlag.exec) !== 0;
      const wanted = kernel.memory.readU64(gva(map + BigInt(8 * (vma.flagsLow & KIND))));
      if (isAnonymous(kernel, vma) && protectionOf(vma) !== wanted)
        problems.push(`${where}: vm_page_prot is ${hex(protectionOf(vma))}, not ${hex(wanted)}`);
      visitLeaves(pageTables, vma.startPage, vma.endPage, (_entry, high, _low, _level, page) => {
        if (((high & PTE_HIGH_NO_EXECUTE) === 0) !== executable)
          problems.push(`${where}: page ${page.toString(16)} is ${executable ? 'not ' : ''}executable`);
      });
      return undefined;
    });
    if (cut !== undefined) problems.push(`${process.comm}[${process.tgid}]: its VMAs could not be read`);
  }
  return problems;
}

/** A hash of the kernel's text, as it is in memory. */
export function kernelTextHash(kernel: Kernel): string {
  const start = kernel.symbols.require('_stext');
  const length = Number(kernel.symbols.require('_etext') - start);
  return createHash('sha256').update(kernel.memory.readBytes(start, length)).digest('hex');
}

function isAnonymous(kernel: Kernel, vma: VmaCursor): boolean {
  const operations = vma.physical + kernel.layout.vm_area_struct.vm_ops;
  const physical = kernel.memory.physical;
  return (vma.fileHigh | vma.fileLow | physical.u32(operations) | physical.u32(operations + 4)) === 0;
}

function protectionOf(vma: VmaCursor): bigint {
  return (BigInt(vma.protectionHigh >>> 0) << 32n) | BigInt(vma.protectionLow >>> 0);
}

import { TargetError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import { walkVmas } from '../linux/mm/walk.ts';
import { listProcesses } from '../linux/task-list.ts';
import { VmFlag } from '../linux/vma.ts';
import { gva } from '../memory/address.ts';
import { ProtectionMap } from './protection-map.ts';

const KIND = VmFlag.read | VmFlag.write | VmFlag.exec | VmFlag.shared;
const TEXT = VmFlag.read | VmFlag.exec;
/** VMAs of one process that are looked at: the text of a program is among the first. */
const LIMIT = 256;

/**
 * The guest's own table of page protections: by its symbol, else by the value that it gave to the text of a
 * program. @throws TargetError where the guest has neither.
 */
export function findProtectionMap(kernel: Kernel): ProtectionMap {
  const symbol = kernel.symbols.find('protection_map');
  if (symbol !== undefined)
    return ProtectionMap.read(kernel.memory.physical, kernel.memory.locateAddress(symbol));
  return protectionOfText(kernel);
}

/** As where there is no symbol. */
export function protectionOfText(kernel: Kernel): ProtectionMap {
  for (const process of listProcesses(kernel).tasks) {
    if (process.mm === gva(0n)) continue;
    let map: ProtectionMap | undefined;
    const visit = (flags: number, file: number, low: number, high: number): boolean => {
      if ((flags & KIND) !== TEXT || file === 0) return true;
      map = ProtectionMap.ofText(low, high);
      return false;
    };
    walkVmas(
      kernel,
      process.mm,
      (vma) => visit(vma.flagsLow, vma.fileHigh | vma.fileLow, vma.protectionLow, vma.protectionHigh),
      { limit: LIMIT },
    );
    if (map !== undefined) return map;
  }
  throw new TargetError(
    'the kernel has no symbol protection_map, and no program runs whose text shows its values',
  );
}

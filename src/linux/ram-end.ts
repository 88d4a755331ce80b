import { UnderwatchError } from '../errors.ts';
import type { Kernel } from './kernel.ts';

const PAGE_SIZE = 4096;
/** Physical addresses have at most 52 bits (Intel SDM vol. 3A 4.1.4). */
const MAX_PAGES = 2 ** 40;

/**
 * Where RAM ends as the kernel sees it: the guest-physical address behind its last page (`max_pfn`, mm/memblock.c).
 * Undefined where the kernel does not say, or says what cannot be.
 */
export function endOfRam(kernel: Pick<Kernel, 'memory' | 'symbols'>): number | undefined {
  const variable = kernel.symbols.find('max_pfn');
  if (variable === undefined) return undefined;
  try {
    const pages = Number(kernel.memory.readU64(variable));
    return pages > 0 && pages <= MAX_PAGES ? pages * PAGE_SIZE : undefined;
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
    throw error;
  }
}

import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { parseVmcoreinfo } from '../vmcoreinfo.ts';
import { identifyKernel, type LocatedKernel } from './identify.ts';
import { imageDirectory, imageMapping } from './image-mapping.ts';

/** Where addresses of the kernel image are counted from (`__START_KERNEL_map`, `page_64_types.h`). */
const START_KERNEL_MAP = 0xffff_ffff_8000_0000n;
/** The kernel's root table, by the name of 5.x and later first. */
const ROOT_TABLES = ['SYMBOL(init_top_pgt)', 'SYMBOL(swapper_pg_dir)'];

/**
 * Finds the kernel that VMCOREINFO (text) describes, by the root of its page tables; undefined where that leads
 * nowhere. What it says is only where to look: the kernel is judged by its own symbols, as one found in any other way.
 */
export function locateByVmcoreinfo(memory: PhysicalMemory, text: string): LocatedKernel | undefined {
  const entries = parseVmcoreinfo(text);
  const root = rootTable(entries);
  if (root === undefined) return undefined;
  const levels = entries.get('NUMBER(pgtable_l5_enabled)') === '1' ? 5 : 4;
  const directory = imageDirectory(memory, root, levels);
  const image = directory < 0 ? undefined : imageMapping(memory, directory);
  const result = image === undefined ? undefined : identifyKernel(memory, image);
  return typeof result === 'object' ? result : undefined;
}

/** Its guest-physical address; undefined where the text does not give it, or gives what cannot be one. */
function rootTable(entries: ReadonlyMap<string, string>): number | undefined {
  const symbol = ROOT_TABLES.map((name) => entries.get(name)).find((value) => value !== undefined);
  const base = entries.get('NUMBER(phys_base)');
  if (symbol === undefined || !/^[0-9a-f]{1,16}$/.test(symbol)) return undefined;
  if (base === undefined || !/^-?\d{1,19}$/.test(base)) return undefined;
  const physical = Number(BigInt(`0x${symbol}`) - START_KERNEL_MAP + BigInt(base));
  return physical >= 0 && physical < 2 ** 52 ? physical : undefined;
}

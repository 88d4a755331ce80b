import { type GuestVirtualAddress, gva, highWord, lowWord } from '../../memory/address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { PageTables, type PagingLevels } from '../../x86/page-tables.ts';
import { findKallsyms } from '../kallsyms/find-kallsyms.ts';
import { KernelMemory, type LinearMapping } from '../kernel-memory.ts';
import type { SymbolTable } from '../symbols.ts';
import type { ImageMapping } from './image-mapping.ts';

/** A kernel that was located: its address space, its symbols and who it is. */
export interface LocatedKernel {
  readonly memory: KernelMemory;
  readonly symbols: SymbolTable;
  readonly banner: string;
}

/**
 * Why a mapping of the right shape is not a kernel that can be read.
 *
 * - `no-symbols`: no symbol table in it makes sense
 * - `functions-only`: the symbol table leaves out data
 * - `no-page-tables`: the kernel's own root table does not map it
 */
export type Rejection = 'no-symbols' | 'functions-only' | 'no-page-tables';

/** The kernel's root table: its name from 5.x on, and before (`arch/x86/kernel/head_64.S`). */
const ROOT_TABLES = ['init_top_pgt', 'swapper_pg_dir'];
/** Where the direct map begins without KASLR (`__PAGE_OFFSET_BASE_L4` and `_L5`, `page_64_types.h`). */
const FIXED_DIRECT_MAP: Readonly<Record<PagingLevels, GuestVirtualAddress>> = {
  4: gva(0xffff_8880_0000_0000n),
  5: gva(0xff11_0000_0000_0000n),
};

/**
 * Looks whether a mapping is that of a Linux kernel's image, by its symbols, and finds from these the root
 * of its page tables, how many levels they have (whichever maps the image onto itself) and the direct map.
 */
export function identifyKernel(memory: PhysicalMemory, image: ImageMapping): LocatedKernel | Rejection {
  const kallsyms = findKallsyms(memory, image);
  if (kallsyms.outcome === 'none') return 'no-symbols';
  if (kallsyms.outcome === 'functions-only') return 'functions-only';
  const { symbols, banner } = kallsyms;
  const found = symbols.findMany([...ROOT_TABLES, 'page_offset_base']);
  const root = ROOT_TABLES.map((name) => found.get(name)).find((address) => address !== undefined);
  const pageTables = root === undefined ? undefined : kernelPageTables(memory, image, root);
  if (pageTables === undefined) return 'no-page-tables';
  const directMap = findDirectMap(pageTables, image, found.get('page_offset_base'));
  return { memory: new KernelMemory(memory, pageTables, image, directMap), symbols, banner };
}

function kernelPageTables(
  memory: PhysicalMemory,
  image: LinearMapping,
  rootTable: GuestVirtualAddress,
): PageTables | undefined {
  const root = image.physicalStart + Number(rootTable - image.virtualStart);
  for (const levels of [4, 5] as const) {
    const tables = new PageTables(memory, root, levels);
    if (translate(tables, image.virtualStart) === image.physicalStart) return tables;
  }
  return undefined;
}

/** The direct map, when the page tables agree that the image lies in it where subtraction says. */
function findDirectMap(
  tables: PageTables,
  image: LinearMapping,
  variable: GuestVirtualAddress | undefined,
): LinearMapping | undefined {
  const base = variable === undefined ? FIXED_DIRECT_MAP[tables.levels] : readPointer(tables, variable);
  const last = tables.memory.ranges.at(-1);
  if (base === undefined || last === undefined) return undefined;
  if (translate(tables, gva(base + BigInt(image.physicalStart))) !== image.physicalStart) return undefined;
  return { virtualStart: base, physicalStart: 0, size: last.start + last.size };
}

function readPointer(tables: PageTables, address: GuestVirtualAddress): GuestVirtualAddress | undefined {
  const at = translate(tables, address);
  if (at < 0 || !tables.memory.contains(at, 8)) return undefined;
  return gva((BigInt(tables.memory.u32(at + 4)) << 32n) | BigInt(tables.memory.u32(at)));
}

function translate(tables: PageTables, address: GuestVirtualAddress): number {
  return tables.translate(highWord(address), lowWord(address));
}

import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { readBanner } from '../banner.ts';
import type { LinearMapping } from '../kernel-memory.ts';
import type { ImageMapping } from '../locate/image-mapping.ts';
import { SymbolTable } from '../symbols.ts';
import { type AddressTable, addressTables } from './addresses.ts';
import { findNameTable, type NameTable } from './name-table.ts';
import { findTokenTables, type TokenTable } from './token-table.ts';

/** What a kernel image says about its symbols. */
export type KallsymsResult =
  | { readonly outcome: 'found'; readonly symbols: SymbolTable; readonly banner: string }
  /** Names were found, but data symbols are not among them: CONFIG_KALLSYMS_ALL is off. */
  | { readonly outcome: 'functions-only' }
  | { readonly outcome: 'none' };

/** The symbols by which a table is judged. */
const TEXT = '_text';
const BANNER = 'linux_banner';
const JUDGED_BY = [TEXT, BANNER];
/** Token tables that are tried: up to five copies have been seen; more are there to keep us busy. */
const MAX_COPIES = 16;

/**
 * Finds the symbol table in a kernel's image. Every copy is tried, and each layout of each, until one makes
 * sense: its addresses ascend, its `_text` is where the image is mapped, and its `linux_banner` points to
 * the banner. So stale copies and tables of other kernels are passed over.
 */
export function findKallsyms(memory: PhysicalMemory, image: ImageMapping): KallsymsResult {
  let functionsOnly = false;
  let copies = 0;
  for (const tokens of tokenTables(memory, image)) {
    if (++copies > MAX_COPIES) break;
    const names = findNameTable(memory, tokens, image.physicalStart);
    if (names === undefined) continue;
    const judges = firstIndexes(names, JUDGED_BY);
    if (!judges.has(TEXT)) continue;
    if (!judges.has(BANNER)) {
      functionsOnly = true;
      continue;
    }
    for (const addresses of addressTables(memory, image, names, tokens)) {
      const banner = judge(memory, image, addresses, judges);
      if (banner !== undefined)
        return { outcome: 'found', symbols: new SymbolTable(names, addresses), banner };
    }
  }
  return { outcome: functionsOnly ? 'functions-only' : 'none' };
}

/** The token tables in an image: first those in read-only data, where the one in use lies. */
function* tokenTables(memory: PhysicalMemory, image: ImageMapping): Generator<TokenTable> {
  const { physicalStart: start, size, readOnlyData = start } = image;
  yield* findTokenTables(memory, readOnlyData, start + size - readOnlyData);
  yield* findTokenTables(memory, start, readOnlyData - start);
}

/** The banner, when these addresses are those of the kernel in `image`. */
function judge(
  memory: PhysicalMemory,
  image: LinearMapping,
  addresses: AddressTable,
  judges: ReadonlyMap<string, number>,
): string | undefined {
  if (addresses.at(judges.get(TEXT) ?? -1) !== image.virtualStart) return undefined;
  const offset = addresses.at(judges.get(BANNER) ?? -1) - image.virtualStart;
  if (offset < 0n || offset >= image.size || !addresses.ascends()) return undefined;
  return readBanner(memory, image.physicalStart + Number(offset));
}

function firstIndexes(names: NameTable, wanted: readonly string[]): Map<string, number> {
  const indexes = new Map<string, number>();
  names.search(wanted, (index, which) => {
    const name = wanted[which] ?? '';
    if (!indexes.has(name)) indexes.set(name, index);
    return indexes.size < wanted.length;
  });
  return indexes;
}

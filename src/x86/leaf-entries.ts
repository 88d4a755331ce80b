import { PhysicalMemoryError } from '../memory/physical-memory.ts';
import { frameAddress, type PageTables } from './page-tables.ts';
import { PTE_LARGE, PTE_PRESENT } from './pte.ts';

const ENTRIES = 512;
/** More tables than the page tables of 16 GiB in 4 KiB pages: a structure that is larger runs in circles. */
const MAX_TABLES = 16_384;

/**
 * One present leaf entry: its guest-physical address, both words, its level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB)
 * and the first page (virtual address / 4096) that it maps.
 */
export type LeafVisitor = (entry: number, high: number, low: number, level: number, page: number) => void;

/** How a visit of leaf entries ended: whole, or with parts left out. */
export interface LeafVisit {
  /** Tables that lie where there is no RAM. */
  absentTables: number;
  /** The bound on tables was reached and the rest was left out. */
  cut: boolean;
}

/**
 * Visits every present leaf entry that maps a page in `[start, end)` (page numbers: virtual address / 4096),
 * in ascending order. Only tables that exist are read, so the size of the range does not matter. An entry of a
 * large page is visited though it may reach beyond the range.
 */
export function visitLeaves(tables: PageTables, start: number, end: number, visit: LeafVisitor): LeafVisit {
  const state: State = { tables, start, end, visit, visited: 0, result: { absentTables: 0, cut: false } };
  if (start < end) descend(state, tables.root, tables.levels, 0);
  return state.result;
}

interface State {
  readonly tables: PageTables;
  readonly start: number;
  readonly end: number;
  readonly visit: LeafVisitor;
  readonly result: LeafVisit;
  visited: number;
}

/** `base` is the first page that the table can map. */
function descend(state: State, table: number, level: number, base: number): void {
  if (++state.visited > MAX_TABLES) {
    state.result.cut = true;
    return;
  }
  const span = ENTRIES ** (level - 1);
  const first = Math.max(0, Math.floor((state.start - base) / span));
  const last = Math.min(ENTRIES - 1, Math.floor((state.end - 1 - base) / span));
  try {
    for (let index = first; index <= last; index++)
      visitEntry(state, table + 8 * index, level, base + index * span);
  } catch (error) {
    if (!(error instanceof PhysicalMemoryError)) throw error;
    state.result.absentTables++;
  }
}

function visitEntry(state: State, entry: number, level: number, page: number): void {
  const low = state.tables.memory.u32(entry);
  if ((low & PTE_PRESENT) === 0) return;
  const high = state.tables.memory.u32(entry + 4);
  if (level === 1 || (low & PTE_LARGE) !== 0) state.visit(entry, high, low, level, page);
  else descend(state, frameAddress(high, low), level - 1, page);
}

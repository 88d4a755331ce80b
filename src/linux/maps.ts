import type { GuestVirtualAddress } from '../memory/address.ts';
import type { Cut } from './cut.ts';
import type { KernelPath } from './files/path.ts';
import type { Kernel } from './kernel.ts';
import { BackingReader } from './maps/backing-reader.ts';
import { type Backing, type MapsRow, rowOf } from './maps/row.ts';
import { enterVsyscall, VSYSCALL } from './maps/vsyscall.ts';
import { ConsistencyCheck } from './mm/consistency.ts';
import { VmaCursor } from './mm/vma-cursor.ts';
import { walkVmas } from './mm/walk.ts';

export { type Backing, formatDevice, formatMapsRow, type MapsRow } from './maps/row.ts';

/** The rows of an address space, and what is missing from them. */
export interface Maps {
  readonly rows: readonly MapsRow[];
  readonly cuts: readonly Cut[];
}

/** How to list. */
export interface MapsOptions {
  /**
   * Whether the guest may change what is read (default); every row is then checked to have been real at one
   * moment, and read again if it was not. An image needs no such check.
   */
  readonly live?: boolean;
}

/**
 * Every row of `/proc/PID/maps` for an address space, as a program outside every container would read it.
 * On a live guest each row was true at some moment, rows far apart at different ones. What cannot be read is
 * reported as a cut, the rows before and after it are given. An address space that nobody uses any more has
 * none. Throws a KernelMemoryError or PhysicalMemoryError when the `mm_struct` itself is not there.
 *
 * @param root the directory from which paths are told: see `rootDirectory`.
 */
export function listMaps(
  kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>,
  mm: GuestVirtualAddress,
  root: KernelPath,
  options: MapsOptions = {},
): Maps {
  const rows: MapsRow[] = [];
  const cuts = visitMaps(kernel, mm, root, (cursor, backing) => rows.push(rowOf(cursor, backing)), options);
  return { rows, cuts };
}

/**
 * As {@link listMaps}, but calls `visit` for each row instead of making it: with a cursor, the same every time, that
 * stands on the VMA, and with what stands behind that. Returns what is missing.
 */
export function visitMaps(
  kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>,
  mm: GuestVirtualAddress,
  root: KernelPath,
  visit: (cursor: VmaCursor, backing: Backing) => void,
  options: MapsOptions = {},
): readonly Cut[] {
  const check = (options.live ?? true) ? new ConsistencyCheck(kernel, mm) : undefined;
  if (check?.isAlive === false) return [];
  const reader = new BackingReader(kernel, mm, root, check);
  const cuts: Cut[] = [];
  const cut = walkVmas(kernel, mm, (cursor) => {
    visit(cursor, reader.read(cursor));
    if (reader.cuts.length > 0) cuts.push(...reader.cuts);
    return true;
  });
  if (cut !== undefined) return [...cuts, cut];
  const gate = new VmaCursor();
  if (enterVsyscall(kernel, mm, gate)) visit(gate, VSYSCALL);
  return cuts;
}

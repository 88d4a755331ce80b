import { gva, gvaOfWords } from '../../memory/address.ts';
import type { VmaCursor } from '../mm/vma-cursor.ts';
import { VmFlag } from '../vma.ts';

/** One line of `/proc/PID/maps`. */
export interface MapsRow {
  readonly start: bigint;
  /** The first address after the area. */
  readonly end: bigint;
  /** `r-xp`: read, write, execute, private or shared. */
  readonly permissions: string;
  /** Offset into the file, in bytes. */
  readonly offset: bigint;
  readonly major: number;
  readonly minor: number;
  readonly inode: bigint;
  /** A path, its newlines escaped; a name in brackets; or empty. */
  readonly path: string;
}

/** What a row says of what stands behind its area; the same object for every area of the same file. */
export type Backing = Pick<MapsRow, 'major' | 'minor' | 'inode' | 'path'>;

/** What stands behind anonymous memory without a name. */
export const NOTHING: Backing = { major: 0, minor: 0, inode: 0n, path: '' };

/** The row of the area that a cursor stands on. */
export function rowOf(cursor: VmaCursor, backing: Backing): MapsRow {
  const hasFile = (cursor.fileHigh | cursor.fileLow) !== 0;
  const { major, minor, inode, path } = backing;
  return {
    start: gvaOfWords(cursor.startHigh, cursor.startLow),
    end: gvaOfWords(cursor.endHigh, cursor.endLow),
    permissions: permissionsOf(cursor.flagsLow),
    offset: hasFile ? gva(gvaOfWords(cursor.offsetHigh, cursor.offsetLow) << 12n) : 0n,
    major,
    minor,
    inode,
    path,
  };
}

/** Where the path begins: `25 + sizeof(void *) * 6 - 1`, then one space (fs/proc/task_mmu.c). */
export const PATH_COLUMN = 72;

/** A row exactly as the guest's kernel prints it in `/proc/PID/maps`, without the newline. */
export function formatMapsRow(row: MapsRow): string {
  const range = `${hex8(row.start)}-${hex8(row.end)}`;
  const line = `${range} ${row.permissions} ${hex8(row.offset)} ${formatDevice(row)} ${row.inode} `;
  return row.path === '' ? line : `${line.padEnd(PATH_COLUMN)} ${row.path}`;
}

/** `fe:01`: major and minor number of a device. */
export function formatDevice(device: { readonly major: number; readonly minor: number }): string {
  return `${hex2(device.major)}:${hex2(device.minor)}`;
}

/** The four letters of a VMA's permissions, from the lower word of `vm_flags`. */
export function permissionsOf(flagsLow: number): string {
  const read = (flagsLow & VmFlag.read) !== 0 ? 'r' : '-';
  const write = (flagsLow & VmFlag.write) !== 0 ? 'w' : '-';
  const exec = (flagsLow & VmFlag.exec) !== 0 ? 'x' : '-';
  return `${read}${write}${exec}${(flagsLow & VmFlag.mayShare) !== 0 ? 's' : 'p'}`;
}

function hex8(value: bigint): string {
  return value.toString(16).padStart(8, '0');
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0');
}

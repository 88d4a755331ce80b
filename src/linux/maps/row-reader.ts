import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, gva, gvaOfWords } from '../../memory/address.ts';
import type { Cut } from '../cut.ts';
import { fileIdentity, type OpenFile, readFile } from '../files/file.ts';
import type { KernelPath } from '../files/path.ts';
import { octal } from '../files/text.ts';
import type { Kernel } from '../kernel.ts';
import type { ConsistencyCheck } from '../mm/consistency.ts';
import type { VmaCursor } from '../mm/vma-cursor.ts';
import { AreaNames } from './area-names.ts';
import { type MapsRow, permissionsOf } from './row.ts';

/** What a row says of the file behind it. */
type RowFile = Pick<MapsRow, 'major' | 'minor' | 'inode' | 'path'>;

const NO_FILE: RowFile = { major: 0, minor: 0, inode: 0n, path: '' };

/** Makes rows of the VMAs of one address space; looks at each file once. With a check, each row is real. */
export class RowReader {
  readonly #kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>;
  readonly #root: KernelPath;
  readonly #names: AreaNames;
  /** By address in an image, by identity on a live guest. */
  readonly #files = new Map<GuestVirtualAddress | string, RowFile>();
  readonly #check: ConsistencyCheck | undefined;
  #cuts: Cut[] = [];

  constructor(
    kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>,
    mm: GuestVirtualAddress,
    root: KernelPath,
    check?: ConsistencyCheck,
  ) {
    this.#kernel = kernel;
    this.#root = root;
    this.#check = check;
    this.#names = new AreaNames(kernel, mm);
  }

  /** What could not be read of the latest row. */
  get cuts(): readonly Cut[] {
    return this.#cuts;
  }

  /** The row of the VMA that a cursor stands on; throws a VmaTreeError when the check finds it not to be real. */
  read(cursor: VmaCursor): MapsRow {
    this.#cuts = [];
    const row = this.#row(cursor);
    try {
      this.#check?.require(cursor);
    } catch (error) {
      this.#files.clear();
      throw error;
    }
    return row;
  }

  #row(cursor: VmaCursor): MapsRow {
    const hasFile = (cursor.fileHigh | cursor.fileLow) !== 0;
    const file = hasFile ? this.#file(gvaOfWords(cursor.fileHigh, cursor.fileLow)) : undefined;
    const { major, minor, inode } = file ?? NO_FILE;
    return {
      start: gvaOfWords(cursor.startHigh, cursor.startLow),
      end: gvaOfWords(cursor.endHigh, cursor.endLow),
      permissions: permissionsOf(cursor.flagsLow),
      offset: file === undefined ? 0n : gva(gvaOfWords(cursor.offsetHigh, cursor.offsetLow) << 12n),
      major,
      minor,
      inode,
      path: this.#name(cursor, file),
    };
  }

  #name(cursor: VmaCursor, file: RowFile | undefined): string {
    try {
      if (file === undefined) return this.#names.anonymous(cursor);
      return this.#names.sharedAnonymous(cursor) ?? file.path;
    } catch (error) {
      this.#report(error, 'vm_area_struct', gvaOfWords(cursor.high, cursor.low));
      return file?.path ?? '';
    }
  }

  #file(address: GuestVirtualAddress): RowFile {
    try {
      const key = this.#check === undefined ? address : fileIdentity(this.#kernel, address);
      const known = this.#files.get(key);
      if (known !== undefined) return known;
      const file = this.#shown(readFile(this.#kernel, address, this.#root));
      this.#files.set(key, file);
      return file;
    } catch (error) {
      this.#report(error, 'file', address);
      return NO_FILE;
    }
  }

  /** A file as rows show it: `seq_path()` escapes newlines, and nothing else. */
  #shown(file: OpenFile): RowFile {
    if (file.cut !== undefined) this.#cuts.push(file.cut);
    const { major, minor, inode, path } = file;
    return { major, minor, inode, path: path.replaceAll('\n', octal(10)) };
  }

  /** Keeps what could not be read as a gap; throws what is not a gap. */
  #report(error: unknown, structure: string, address: GuestVirtualAddress): void {
    if (!(error instanceof UnderwatchError)) throw error;
    this.#cuts.push({ reason: 'unreadable', structure, address });
  }
}

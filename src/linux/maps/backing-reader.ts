import { UnderwatchError } from '../../errors.ts';
import { type GuestVirtualAddress, gvaOfWords } from '../../memory/address.ts';
import type { Cut } from '../cut.ts';
import { fileIdentity, type OpenFile, readFile } from '../files/file.ts';
import type { KernelPath } from '../files/path.ts';
import { octal } from '../files/text.ts';
import type { Kernel } from '../kernel.ts';
import type { ConsistencyCheck } from '../mm/consistency.ts';
import type { VmaCursor } from '../mm/vma-cursor.ts';
import { AreaNames } from './area-names.ts';
import { type Backing, NOTHING } from './row.ts';

const NO_CUTS: Cut[] = [];

/**
 * Tells what stands behind the VMAs of one address space; looks at each file, and at each name, once. With a check,
 * each VMA that it tells of is real.
 */
export class BackingReader {
  readonly #kernel: Pick<Kernel, 'memory' | 'layout' | 'symbols'>;
  readonly #root: KernelPath;
  readonly #names: AreaNames;
  /** By address in an image, by identity on a live guest. */
  readonly #files = new Map<GuestVirtualAddress | string, Backing>();
  readonly #check: ConsistencyCheck | undefined;
  /** The file of the latest VMA that had one, and its address's words. */
  #recent = NOTHING;
  #recentHigh = 0;
  #recentLow = 0;
  #cuts: Cut[] = NO_CUTS;

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

  /** What could not be read of the latest VMA. */
  get cuts(): readonly Cut[] {
    return this.#cuts;
  }

  /** Of the VMA that a cursor stands on; throws a VmaTreeError when the check finds it not to be real. */
  read(cursor: VmaCursor): Backing {
    this.#cuts = NO_CUTS;
    const backing = this.#backing(cursor);
    try {
      this.#check?.require(cursor);
    } catch (error) {
      this.#files.clear();
      throw error;
    }
    return backing;
  }

  #backing(cursor: VmaCursor): Backing {
    const hasFile = (cursor.fileHigh | cursor.fileLow) !== 0;
    const file = hasFile ? this.#fileOf(cursor) : undefined;
    const name = this.#name(cursor, file);
    if (file === undefined) return name === undefined ? NOTHING : { ...NOTHING, path: name };
    return name === undefined ? file : { ...file, path: name };
  }

  /** The name of a VMA that is not its file's. */
  #name(cursor: VmaCursor, file: Backing | undefined): string | undefined {
    try {
      if (file !== undefined) return this.#names.sharedAnonymous(cursor);
      const name = this.#names.anonymous(cursor);
      return name === '' ? undefined : name;
    } catch (error) {
      this.#report(error, 'vm_area_struct', gvaOfWords(cursor.high, cursor.low));
      return undefined;
    }
  }

  #fileOf(cursor: VmaCursor): Backing {
    const { fileHigh, fileLow } = cursor;
    const isRecent = this.#recentHigh === fileHigh && this.#recentLow === fileLow;
    if (this.#check === undefined && isRecent) return this.#recent;
    this.#recent = this.#file(gvaOfWords(fileHigh, fileLow));
    this.#recentHigh = fileHigh;
    this.#recentLow = fileLow;
    return this.#recent;
  }

  #file(address: GuestVirtualAddress): Backing {
    try {
      const key = this.#check === undefined ? address : fileIdentity(this.#kernel, address);
      const known = this.#files.get(key);
      if (known !== undefined) return known;
      const file = this.#shown(readFile(this.#kernel, address, this.#root));
      this.#files.set(key, file);
      return file;
    } catch (error) {
      this.#report(error, 'file', address);
      return NOTHING;
    }
  }

  /** A file as rows show it: `seq_path()` escapes newlines, and nothing else. */
  #shown(file: OpenFile): Backing {
    if (file.cut !== undefined) this.#cuts = [...this.#cuts, file.cut];
    const { major, minor, inode, path } = file;
    return { major, minor, inode, path: path.replaceAll('\n', octal(10)) };
  }

  /** Keeps what could not be read as a gap; throws what is not a gap. */
  #report(error: unknown, structure: string, address: GuestVirtualAddress): void {
    if (!(error instanceof UnderwatchError)) throw error;
    this.#cuts = [...this.#cuts, { reason: 'unreadable', structure, address }];
  }
}

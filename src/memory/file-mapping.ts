import { closeSync, fstatSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { TargetError } from '../errors.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const PAGE_SIZE = 4096;

const libc = koffi.load(null);
const mmap = libc.func('uintptr_t mmap(void *addr, size_t len, int prot, int flags, int fd, int64_t offset)');
const munmap = libc.func('int munmap(uintptr_t addr, size_t len)');

/** What part of a file to map, and how. */
export interface MappingOptions {
  /** Bytes from the start of the file; a multiple of 4096. Default 0. */
  readonly offset?: number;
  /** Bytes; by default up to the end of the file. */
  readonly length?: number;
  /** Whether writes are allowed; they reach the file and everybody who shares it. Default false. */
  readonly writable?: boolean;
}

/**
 * A shared memory mapping of (a part of) a file.
 *
 * A file that shrinks under a mapping kills the process that touches the lost part (mmap(2), SIGBUS). The length
 * is checked when the mapping is made; QEMU's RAM files keep their size, so nothing more is done.
 */
export class FileMapping implements Disposable {
  readonly #address: bigint;
  readonly #length: number;
  #buffer: ArrayBuffer;

  private constructor(address: bigint, length: number) {
    this.#address = address;
    this.#length = length;
    this.#buffer = koffi.view(address, length);
  }

  /** Maps a file. Throws a TargetError where it cannot be opened, is too short, or cannot be mapped. */
  static open(path: string, options: MappingOptions = {}): FileMapping {
    const fd = openFile(path, options.writable === true);
    try {
      const offset = options.offset ?? 0;
      const available = fstatSync(fd).size - offset;
      const length = options.length ?? available;
      if (offset % PAGE_SIZE !== 0)
        throw new RangeError(`file offset ${offset} is not a multiple of ${PAGE_SIZE}`);
      if (length <= 0 || length > available) {
        throw new TargetError(`${path} is too short: ${length} bytes are needed from offset ${offset} on`);
      }
      const protection = options.writable ? PROT_READ | PROT_WRITE : PROT_READ;
      const address = BigInt(mmap(null, length, protection, MAP_SHARED, fd, offset));
      if (address === MAP_FAILED) throw new TargetError(`${path} cannot be mapped (errno ${koffi.errno()})`);
      return new FileMapping(address, length);
    } finally {
      closeSync(fd);
    }
  }

  /** The mapped bytes; empty once disposed of. Views of it made before must not be touched after that. */
  get buffer(): ArrayBuffer {
    return this.#buffer;
  }

  [Symbol.dispose](): void {
    if (this.#buffer.byteLength === 0) return;
    this.#buffer = new ArrayBuffer(0);
    munmap(this.#address, this.#length);
  }
}

function openFile(path: string, writable: boolean): number {
  try {
    return openSync(path, writable ? 'r+' : 'r');
  } catch (cause) {
    throw new TargetError(`${path} cannot be opened: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
}

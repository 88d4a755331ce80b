import fs from 'node:fs';
import { TargetError } from '../../../errors.ts';
import { populatedRanges } from '../../../memory/file-extents.ts';
import type { PhysicalRange } from '../../../memory/physical-memory.ts';
import type { ByteSource, FileRange } from './bytes.ts';

/** What `st_blocks` counts in (stat(2)). */
const BLOCK_BYTES = 512;

const OPEN_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'no permission to read it',
  EPERM: 'no permission to read it',
  ELOOP: 'too many symbolic links',
  ENXIO: 'it is a socket or a device, not a file',
};

/**
 * An image file, read by `pread` and never mapped: a mapped file that shrinks kills the process that reads it,
 * one that is read gives a short read.
 */
export class ImageFile implements ByteSource, Disposable {
  readonly path: string;
  /** Size at opening, in bytes. */
  readonly size: number;
  #descriptor: number;

  private constructor(path: string, descriptor: number, size: number) {
    this.path = path;
    this.#descriptor = descriptor;
    this.size = size;
  }

  /** Opens a regular file; throws a TargetError that says in one sentence why it cannot be one. */
  static open(path: string): ImageFile {
    const descriptor = openDescriptor(path);
    try {
      const status = fs.fstatSync(descriptor);
      if (status.isDirectory()) throw refusal(path, 'it is a directory');
      if (!status.isFile()) throw refusal(path, 'it is not a regular file; copy its content into one first');
      if (status.size === 0) throw refusal(path, 'it is empty');
      return new ImageFile(path, descriptor, status.size);
    } catch (error) {
      fs.closeSync(descriptor);
      throw error;
    }
  }

  /** See {@link ByteSource}; where the disk cannot be read, the bytes end. */
  read(position: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const count = this.#readOnce(position + done, target, done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** See {@link ByteSource}. A file has holes when it takes less room on the disk than its size. */
  populated(runs: readonly FileRange[]): readonly PhysicalRange[] | undefined {
    if (this.#descriptor < 0) return undefined;
    const isSparse = fs.fstatSync(this.#descriptor).blocks * BLOCK_BYTES < this.size;
    return isSparse ? populatedRanges(this.#descriptor, this.size, runs) : undefined;
  }

  [Symbol.dispose](): void {
    if (this.#descriptor < 0) return;
    fs.closeSync(this.#descriptor);
    this.#descriptor = -1;
  }

  #readOnce(position: number, target: Uint8Array, done: number): number {
    if (this.#descriptor < 0 || !Number.isSafeInteger(position)) return 0;
    try {
      return fs.readSync(this.#descriptor, target, done, target.length - done, position);
    } catch {
      return 0;
    }
  }
}

/** Without O_NONBLOCK, opening a pipe would wait for its writer. */
function openDescriptor(path: string): number {
  try {
    return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw refusal(path, OPEN_FAILURES[code] ?? code, error);
  }
}

function refusal(path: string, reason: string, cause?: unknown): TargetError {
  return new TargetError(`cannot open the image ${path}: ${reason}`, cause === undefined ? {} : { cause });
}

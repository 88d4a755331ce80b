import { createRequire } from 'node:module';
import { gpa } from './address.ts';
import type { PhysicalRange } from './physical-memory.ts';

/** Where a run of guest-physical memory lies in a file. */
interface FileRun extends PhysicalRange {
  /** Offset of its first byte in the file. */
  readonly offset: number;
}

/** A run of bytes of a file. */
interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Of `lseek(2)`: from an offset on, the next that is not in a hole, and the next that is (since Linux 3.1). */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** A file in more pieces counts as one without holes. */
const MAX_EXTENTS = 65_536;

/** The parts of memory that lie outside the holes of an open file; undefined where the file has none, or does not say. */
export function populatedRanges(
  descriptor: number,
  size: number,
  runs: readonly FileRun[],
): readonly PhysicalRange[] | undefined {
  const extents = dataExtents(descriptor, size);
  if (extents === undefined) return undefined;
  const populated: PhysicalRange[] = [];
  for (const { start, size: length, offset } of runs) {
    for (const extent of extents) {
      const from = Math.max(extent.start, offset);
      const to = Math.min(extent.end, offset + length);
      if (from < to) populated.push({ start: gpa(start + from - offset), size: to - from });
    }
  }
  return populated;
}

/** Moves the file's offset, which nobody uses who reads by `pread`. */
function dataExtents(descriptor: number, size: number): readonly Extent[] | undefined {
  const seek = lseek();
  const extents: Extent[] = [];
  for (let end = 0; end < size; ) {
    const start = seek(descriptor, end, SEEK_DATA);
    // ENXIO: nothing but a hole up to the end, or seeking so is not known at all.
    if (start < 0) return extents.length > 0 ? extents : undefined;
    end = seek(descriptor, start, SEEK_HOLE);
    if (end <= start || extents.length === MAX_EXTENTS) return undefined;
    extents.push({ start, end });
  }
  return extents;
}

type Seek = (descriptor: number, offset: number, whence: number) => number;

/** Node has no `lseek`; what calls C is loaded only where a file has holes to be found. */
function lseek(): Seek {
  const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
  const call = koffi.load(null).func('int64_t lseek(int fd, int64_t offset, int whence)');
  return (descriptor, offset, whence) => Number(call(descriptor, offset, whence));
}

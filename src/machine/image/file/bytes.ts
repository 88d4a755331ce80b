import type { PhysicalRange } from '../../../memory/physical-memory.ts';

/**
 * A random-access run of bytes: a file, or a file within another (flattened dumps). Short reads are how a
 * reader learns that an image was cut short, so they are no error here.
 */
export interface ByteSource {
  /** Length in bytes; a file may shrink while it is open, so a read may end before it. */
  readonly size: number;
  /** Fills `target` from `position` (bytes) on as far as bytes are there; returns how many it wrote. */
  read(position: number, target: Uint8Array): number;
  /** The parts of memory, which lies in the file as said, that are not in its holes; undefined where it has none. */
  populated?(runs: readonly FileRange[]): readonly PhysicalRange[] | undefined;
}

/** Where a run of guest-physical memory lies in a file without headers. */
export interface FileRange extends PhysicalRange {
  /** Offset of the run's first byte in the file. */
  readonly offset: number;
}

/** A run of bytes in a file. */
export interface FileExtent {
  readonly offset: number;
  readonly size: number;
}

/** Reads exactly `length` bytes, or as many as there are; `length` must be bounded by the caller. */
export function readUpTo(source: ByteSource, position: number, length: number): Uint8Array {
  const target = new Uint8Array(length);
  return target.subarray(0, source.read(position, target));
}

/** A view of the `length` bytes at `position`, or undefined when the source ends before. */
export function viewAt(source: ByteSource, position: number, length: number): DataView | undefined {
  const bytes = readUpTo(source, position, length);
  return bytes.length < length ? undefined : new DataView(bytes.buffer, bytes.byteOffset, length);
}

/** A 64-bit unsigned field as a number: exact up to 2^53, and above that merely larger than any bound. */
export function u64(view: DataView, offset: number, littleEndian = true): number {
  const high = view.getUint32(littleEndian ? offset + 4 : offset, littleEndian);
  return high * 0x1_0000_0000 + view.getUint32(littleEndian ? offset : offset + 4, littleEndian);
}

/** The characters of a fixed-size field up to its first NUL, as Latin-1. */
export function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1');
}

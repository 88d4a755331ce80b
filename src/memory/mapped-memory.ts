import { closeSync, fstatSync, openSync } from 'node:fs';
import { gpa } from './address.ts';
import { populatedRanges } from './file-extents.ts';
import { FileMapping } from './file-mapping.ts';
import type { MemoryWindow } from './object-window.ts';
import { PhysicalMemoryError, type PhysicalRange, type WritablePhysicalMemory } from './physical-memory.ts';
import { checkRanges, coveredUpTo, covers } from './ranges.ts';

/** A run of guest-physical memory that lies in a file. */
export interface MappedRange extends PhysicalRange {
  readonly path: string;
  /** Where the run starts in the file, in bytes; a multiple of 4096. */
  readonly offset: number;
}

/** Words that lie farther than 4 GiB from the first of their array are slow to read. */
const WINDOW_BYTES = 2 ** 30;

interface Segment extends PhysicalRange {
  readonly end: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const NO_VIEW = new DataView(NOTHING.buffer);

/** A segment that no address lies in. */
const NOWHERE: Segment = { start: gpa(0), size: 0, end: 0, view: NO_VIEW, bytes: NOTHING };

/**
 * Guest RAM mapped, shared and writable, from the files that QEMU keeps it in: what is written is seen by the
 * guest at once, and the other way round. Any size: an element beyond 4 GiB costs the same as one below it,
 * which holds for DataView and not for Uint32Array (measured on Node 24).
 */
export class MappedMemory implements WritablePhysicalMemory {
  /** Changes once, when the files are unmapped. */
  generation = 0;
  readonly #files: readonly MappedRange[];
  readonly #mappings: FileMapping[] = [];
  #segments: readonly Segment[] = [];
  /** The segment of the latest access; nearly always that of the next one. */
  #recent: Segment = NOWHERE;

  /**
   * @param ranges where RAM is, ascending and not overlapping, at least one
   * @throws TargetError where a file cannot be opened, is too short or cannot be mapped
   */
  constructor(ranges: readonly MappedRange[]) {
    checkRanges(ranges);
    this.#files = ranges;
    try {
      this.#segments = ranges.map((range) => this.#map(range));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    this.#recent = this.#segments[0] ?? NOWHERE;
  }

  /** Maps one whole file as RAM from guest-physical address 0 on: right for small guests, where RAM has no hole. */
  static ofFile(path: string): MappedMemory {
    using probe = FileMapping.open(path);
    return new MappedMemory([{ start: gpa(0), size: probe.buffer.byteLength, path, offset: 0 }]);
  }

  get ranges(): readonly PhysicalRange[] {
    return this.#segments;
  }

  /** Asked of the files anew at every call, as the guest fills their holes. */
  get populated(): readonly PhysicalRange[] | undefined {
    const populated: PhysicalRange[] = [];
    for (const range of this.#files) {
      const file = openSync(range.path, 'r');
      try {
        populated.push(...(populatedRanges(file, fstatSync(file).size, [range]) ?? [range]));
      } finally {
        closeSync(file);
      }
    }
    return populated;
  }

  u8(address: number): number {
    const segment = this.#segment(address, 1);
    return segment.view.getUint8(address - segment.start);
  }

  u16(address: number): number {
    const segment = this.#segment(address, 2);
    return segment.view.getUint16(address - segment.start, true);
  }

  u32(address: number): number {
    const segment = this.#segment(address, 4);
    return segment.view.getUint32(address - segment.start, true);
  }

  read(address: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const { bytes, start, end } = this.#segment(address + done, 1);
      const length = Math.min(target.length - done, end - address - done);
      const from = address + done - start;
      target.set(bytes.subarray(from, from + length), done);
      done += length;
    }
  }

  write(address: number, source: Uint8Array): void {
    if (!this.contains(address, source.length)) {
      throw new PhysicalMemoryError(coveredUpTo(this.#segments, address));
    }
    for (let done = 0; done < source.length; ) {
      const { bytes, start, end } = this.#segment(address + done, 1);
      const length = Math.min(source.length - done, end - address - done);
      bytes.set(source.subarray(done, done + length), address + done - start);
      done += length;
    }
  }

  contains(address: number, length: number): boolean {
    return covers(this.#segments, address, length);
  }

  window(address: number, length: number, into: MemoryWindow): boolean {
    if (address % 4 !== 0 || !this.contains(address, length)) return false;
    const { start, end, bytes } = this.#segment(address, 1);
    const from = Math.floor((address - start) / WINDOW_BYTES) * WINDOW_BYTES;
    const to = Math.min(from + WINDOW_BYTES, end - start);
    if (address - start + length > to) return false;
    into.words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, (to - from) >>> 2);
    into.first = 0;
    into.start = start + from;
    into.end = start + to;
    into.generation = this.generation;
    return true;
  }

  [Symbol.dispose](): void {
    this.generation++;
    this.#segments = [];
    this.#recent = NOWHERE;
    for (const mapping of this.#mappings.splice(0)) mapping[Symbol.dispose]();
  }

  #map({ start, size, path, offset }: MappedRange): Segment {
    const mapping = FileMapping.open(path, { offset, length: size, writable: true });
    this.#mappings.push(mapping);
    const { buffer } = mapping;
    return { start, size, end: start + size, view: new DataView(buffer), bytes: new Uint8Array(buffer) };
  }

  #segment(address: number, length: number): Segment {
    const recent = this.#recent;
    if (address >= recent.start && address + length <= recent.end) return recent;
    return this.#find(address, length);
  }

  #find(address: number, length: number): Segment {
    for (const segment of this.#segments) {
      if (address >= segment.start && address + length <= segment.end) {
        this.#recent = segment;
        return segment;
      }
    }
    throw new PhysicalMemoryError(address);
  }
}

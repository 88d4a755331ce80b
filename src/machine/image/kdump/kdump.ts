import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';
import { decompress } from '../codec/decompress.ts';
import { DecompressionError } from '../codec/error.ts';
import { readNotes } from '../elf/notes.ts';
import { type ByteSource, type FileExtent, readUpTo, text } from '../file/bytes.ts';
import type { ImageContent } from '../image.ts';
import { damaged, PAGE_SIZE, type PageSource, readByPages } from '../store/page-source.ts';
import { type KdumpHeader, readKdumpHeader } from './header.ts';
import { PageBitmap } from './page-bitmap.ts';
import { type PageDescriptor, PageDescriptors } from './page-descriptors.ts';

/** VMCOREINFO is one page; notes are a few hundred bytes a vCPU. */
const MAXIMUM_EXTENT = 2 ** 24;

/** Left-out pages were pages of zeros, and nothing else was left out. */
const ONLY_ZERO_PAGES = 1;

/**
 * A kdump-compressed dump (makedumpfile's IMPLEMENTATION): a bit for each page that the machine had, a bit for each
 * page that was dumped, a descriptor for each dumped page, then the pages, each compressed by itself. Descriptors and
 * pages are read as they are asked for.
 */
export function openKdump(file: ByteSource): ImageContent {
  const header = readKdumpHeader(file);
  const notes: string[] = [];
  if (header.incomplete) notes.push('the dump says of itself that it is incomplete');
  const source = new KdumpSource(file, header, notes);
  const vmcoreinfo = text(extentOf(file, header.vmcoreinfo));
  return {
    format: 'kdump-compressed',
    source,
    notes,
    ...readNotes(extentOf(file, header.notes)),
    ...(vmcoreinfo === '' ? {} : { vmcoreinfo }),
  };
}

function extentOf(file: ByteSource, { offset, size }: FileExtent): Uint8Array {
  return readUpTo(file, offset, Math.min(size, MAXIMUM_EXTENT));
}

class KdumpSource implements PageSource {
  readonly compressed = true;
  readonly #file: ByteSource;
  readonly #header: KdumpHeader;
  readonly #dumped: PageBitmap;
  /** What can be read: pages that were dumped, and pages of zeros that were left out. */
  readonly #readable: PageBitmap;
  readonly #descriptors: PageDescriptors;
  readonly #stored = new Uint8Array(PAGE_SIZE);
  readonly #scratch = new Uint8Array(PAGE_SIZE);
  #ranges: readonly PhysicalRange[] | undefined;
  /** File offset of a page of zeros: QEMU stores one and lets every other refer to it. */
  #zeroPlace = -1;

  constructor(file: ByteSource, header: KdumpHeader, notes: string[]) {
    this.#file = file;
    this.#header = header;
    const { bitmapOffset, bitmapBytes, frames } = header;
    const whole = bitmapOffset + bitmapBytes <= file.size;
    if (!whole) notes.push('the dump was cut short within its bitmaps');
    // Two bitmaps of equal size, or in the oldest dumps one alone.
    const two = 2 * Math.ceil(frames / 8) <= bitmapBytes;
    this.#dumped = readBitmap(file, two ? bitmapOffset + bitmapBytes / 2 : bitmapOffset, frames);
    const zeros = whole && two && header.dumpLevel === ONLY_ZERO_PAGES;
    this.#readable = zeros ? readBitmap(file, bitmapOffset, frames) : this.#dumped;
    this.#descriptors = new PageDescriptors(file, header.descriptorOffset, this.#dumped.total);
    if (this.#descriptors.cutShort())
      notes.push('the dump was cut short: pages beyond its end are unreadable');
  }

  /** As there may be a range for every other page, found only when asked for. */
  get ranges(): readonly PhysicalRange[] {
    this.#ranges ??= this.#readable.ranges();
    return this.#ranges;
  }

  contains(address: number, length: number): boolean {
    if (length <= 0) return true;
    const first = Math.floor(address / PAGE_SIZE);
    const last = Math.floor((address + length - 1) / PAGE_SIZE);
    return first >= 0 && last < this.#header.frames && this.#readable.hasAll(first, last);
  }

  read(address: number, target: Uint8Array): void {
    readByPages(address, target, this.#scratch, this.#readPage);
  }

  readonly #readPage = (page: number, target: Uint8Array): void => {
    const frame = page / PAGE_SIZE;
    if (!this.contains(page, PAGE_SIZE)) throw new PhysicalMemoryError(page);
    const descriptor = this.#dumped.has(frame) ? this.#descriptor(page, frame) : undefined;
    if (descriptor === undefined || descriptor.offset === this.#zeroPlace) {
      target.fill(0);
      return;
    }
    this.#decompress(page, descriptor, target);
    if (target.every((byte) => byte === 0)) this.#zeroPlace = descriptor.offset;
  };

  #descriptor(page: number, frame: number): PageDescriptor {
    const descriptor = this.#descriptors.read(this.#dumped.rank(frame));
    if (descriptor === undefined)
      throw damaged(page, 'its descriptor is damaged or beyond the end of the dump');
    return descriptor;
  }

  #decompress(page: number, { offset, size, compression }: PageDescriptor, target: Uint8Array): void {
    const bytes = this.#stored.subarray(0, size);
    if (this.#file.read(offset, bytes) < size) throw damaged(page, 'it lies beyond the end of the dump');
    try {
      decompress(compression, bytes, target);
    } catch (error) {
      if (error instanceof DecompressionError) throw damaged(page, `${compression}: ${error.message}`);
      throw error;
    }
  }
}

/** The bits of `frames` frames; those that the file does not have are clear. */
function readBitmap(file: ByteSource, offset: number, frames: number): PageBitmap {
  const words = new Uint32Array(Math.ceil(frames / 32));
  file.read(offset, new Uint8Array(words.buffer, 0, Math.ceil(frames / 8)));
  const beyond = frames % 32;
  if (beyond > 0) words[words.length - 1] = (words.at(-1) ?? 0) & (2 ** beyond - 1);
  return new PageBitmap(words);
}

import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';
import { type Compression, decompress } from '../codec/decompress.ts';
import { DecompressionError } from '../codec/error.ts';
import { readNotes } from '../elf/notes.ts';
import { BlockCache } from '../file/block-cache.ts';
import { type ByteSource, type FileExtent, readUpTo, text, u64 } from '../file/bytes.ts';
import type { ImageContent } from '../image.ts';
import { damaged, PAGE_SIZE, type PageSource, readByPages } from '../store/page-source.ts';
import { type KdumpHeader, readKdumpHeader } from './header.ts';
import { PageBitmap } from './page-bitmap.ts';

/** `struct page_desc`: offset (64 bits), size, flags (32 bits each), page flags (64 bits). */
const DESCRIPTOR_SIZE = 24;

/** `flags` of a descriptor: DUMP_DH_COMPRESSED_ZLIB, _LZO, _SNAPPY, _ZSTD. */
const COMPRESSIONS = new Map<number, Compression>([
  [0x0, 'none'],
  [0x1, 'zlib'],
  [0x2, 'lzo'],
  [0x4, 'snappy'],
  [0x20, 'zstd'],
]);
const COMPRESSION_FLAGS = 0x27;

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
  readonly #file: ByteSource;
  readonly #header: KdumpHeader;
  readonly #dumped: PageBitmap;
  /** What can be read: pages that were dumped, and pages of zeros that were left out. */
  readonly #readable: PageBitmap;
  readonly #descriptors: BlockCache;
  readonly #descriptor = new DataView(new ArrayBuffer(DESCRIPTOR_SIZE));
  readonly #stored = new Uint8Array(PAGE_SIZE);
  readonly #scratch = new Uint8Array(PAGE_SIZE);
  #ranges: readonly PhysicalRange[] | undefined;

  constructor(file: ByteSource, header: KdumpHeader, notes: string[]) {
    this.#file = file;
    this.#header = header;
    const { bitmapOffset, bitmapBytes, frames } = header;
    if (bitmapOffset + bitmapBytes > file.size) notes.push('the dump was cut short within its bitmaps');
    // Two bitmaps of equal size, or in the oldest dumps one alone.
    const two = 2 * Math.ceil(frames / 8) <= bitmapBytes;
    this.#dumped = readBitmap(file, two ? bitmapOffset + bitmapBytes / 2 : bitmapOffset, frames);
    const zeros = two && header.dumpLevel === ONLY_ZERO_PAGES;
    this.#readable = zeros ? readBitmap(file, bitmapOffset, frames) : this.#dumped;
    this.#descriptors = new BlockCache(file);
    const end = header.descriptorOffset + this.#dumped.total * DESCRIPTOR_SIZE;
    if (end > file.size) notes.push('the dump was cut short within its page descriptors');
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
    if (!this.#dumped.has(frame)) {
      target.fill(0);
      return;
    }
    const { compression, bytes } = this.#storedPage(page, frame);
    try {
      decompress(compression, bytes, target);
    } catch (error) {
      if (error instanceof DecompressionError) throw damaged(page, `${compression}: ${error.message}`);
      throw error;
    }
  };

  #storedPage(
    page: number,
    frame: number,
  ): { readonly compression: Compression; readonly bytes: Uint8Array } {
    const at = this.#header.descriptorOffset + this.#dumped.rank(frame) * DESCRIPTOR_SIZE;
    const view = this.#descriptor;
    if (this.#descriptors.read(at, new Uint8Array(view.buffer)) < DESCRIPTOR_SIZE) {
      throw damaged(page, 'its descriptor lies beyond the end of the dump');
    }
    const size = view.getUint32(8, true);
    const compression = COMPRESSIONS.get(view.getUint32(12, true) & COMPRESSION_FLAGS);
    if (compression === undefined || size === 0 || size > PAGE_SIZE)
      throw damaged(page, 'its descriptor is damaged');
    const bytes = this.#stored.subarray(0, size);
    if (this.#file.read(u64(view, 0), bytes) < size)
      throw damaged(page, 'it lies beyond the end of the dump');
    return { compression, bytes };
  }
}

/** The bits of `frames` frames; those that the file does not have are clear. */
function readBitmap(file: ByteSource, offset: number, frames: number): PageBitmap {
  const room = Math.max(0, Math.min(Math.ceil(frames / 8), file.size - offset));
  const bits = readUpTo(file, offset, room);
  const beyond = frames % 8;
  if (beyond > 0 && bits.length === Math.ceil(frames / 8)) {
    bits[bits.length - 1] = (bits.at(-1) ?? 0) & ((1 << beyond) - 1);
  }
  return new PageBitmap(bits);
}

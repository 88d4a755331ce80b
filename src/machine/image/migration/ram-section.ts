import { type ByteSource, readUpTo } from '../file/bytes.ts';
import { ImageError } from '../image.ts';
import { isSystemRam } from '../ram-layout.ts';
import { PAGE_SIZE } from '../store/page-source.ts';
import type { StreamCursor } from './cursor.ts';
import { type MappedBlock, MappedRam, PageIndex, type RamPages } from './ram-pages.ts';

/** RAM_SAVE_FLAG_*: the low bits of a page's address in the stream (QEMU migration/ram.c). */
const ZERO = 0x02;
const MEM_SIZE = 0x04;
const PAGE = 0x08;
const EOS = 0x10;
const CONTINUE = 0x20;
const MULTIFD_FLUSH = 0x200;
const UNSUPPORTED = new Map([
  [0x40, 'XBZRLE'],
  [0x80, 'RDMA'],
  [0x100, 'page compression'],
]);

const MAXIMUM_BLOCKS = 1024;

/** 256 GiB of RAM: an index of 384 MiB, of which only what is used is committed. */
const MAXIMUM_PAGES = 2 ** 26;

interface RamBlock {
  readonly name: string;
  readonly size: number;
  /** Number of the block's first page in RAM; undefined for a device's memory. */
  firstPage: number | undefined;
}

/** Reads the `ram` section, part by part, and remembers where the latest copy of each page of the guest's RAM is. */
export class RamSection {
  /** Bytes of guest RAM; 0 before the list of blocks was read. */
  size = 0;
  readonly #file: ByteSource;
  readonly #mapped: boolean;
  readonly #blocks = new Map<string, RamBlock>();
  readonly #mappedBlocks: MappedBlock[] = [];
  #index: PageIndex | undefined;
  #current: RamBlock | undefined;

  constructor(file: ByteSource, mapped: boolean) {
    this.#file = file;
    this.#mapped = mapped;
  }

  /** Where the pages are. Throws an ImageError where the stream named no RAM. */
  get pages(): RamPages {
    if (this.#mapped && this.#mappedBlocks.length > 0) return new MappedRam(this.#mappedBlocks);
    if (this.#index === undefined || this.size === 0)
      throw new ImageError('the migration stream holds no RAM');
    return this.#index;
  }

  /** Reads one part, up to its end mark. */
  readPart(cursor: StreamCursor): void {
    for (;;) {
      const word = cursor.u64();
      const flags = word % PAGE_SIZE;
      const address = word - flags;
      if ((flags & MEM_SIZE) !== 0) this.#readBlocks(cursor, address);
      else if ((flags & (PAGE | ZERO)) !== 0) this.#readPage(cursor, address, flags);
      else if ((flags & EOS) !== 0) return;
      else this.#checkOther(flags);
    }
  }

  #checkOther(flags: number): void {
    if ((flags & MULTIFD_FLUSH) !== 0) {
      if (this.#mapped) return;
      throw new ImageError('the migration stream was made with multifd, whose pages are not in this file');
    }
    for (const [flag, feature] of UNSUPPORTED) {
      if ((flags & flag) !== 0)
        throw new ImageError(`the migration stream uses ${feature}, which is not supported`);
    }
    throw new ImageError(`the migration stream has a page with unknown flags 0x${flags.toString(16)}`);
  }

  #readPage(cursor: StreamCursor, address: number, flags: number): void {
    if ((flags & CONTINUE) === 0) this.#current = this.#blocks.get(cursor.name());
    const block = this.#current;
    if (block === undefined)
      throw new ImageError('the migration stream has a page of a block that it did not name');
    let place = cursor.position;
    if ((flags & ZERO) !== 0) place = -1 - cursor.u8();
    else cursor.skip(PAGE_SIZE);
    if (block.firstPage === undefined || address >= block.size) return;
    this.#index?.set(block.firstPage + address / PAGE_SIZE, place);
  }

  #readBlocks(cursor: StreamCursor, total: number): void {
    if (this.#blocks.size > 0) throw new ImageError('the migration stream names its RAM blocks twice');
    const mapped = new Map<RamBlock, { readonly bitmap: number; readonly place: number }>();
    for (let left = total; left > 0; ) {
      const block: RamBlock = { name: cursor.name(), size: cursor.u64(), firstPage: undefined };
      if (this.#blocks.size >= MAXIMUM_BLOCKS || block.size > left || block.size % PAGE_SIZE !== 0) {
        throw new ImageError('the migration stream has a list of RAM blocks that contradicts itself');
      }
      this.#blocks.set(block.name, block);
      if (this.#mapped) mapped.set(block, this.#readMapping(cursor, block));
      left -= block.size;
    }
    this.#chooseRam();
    for (const [block, { bitmap, place }] of mapped) this.#addMapped(block, bitmap, place);
  }

  /** `MappedRamHeader`: version (32 bits), page size, offset of the bitmap, offset of the pages (64 bits each). */
  #readMapping(cursor: StreamCursor, block: RamBlock): { readonly bitmap: number; readonly place: number } {
    const [version, pageSize] = [cursor.u32(), cursor.u64()];
    const [bitmap, place] = [cursor.u64(), cursor.u64()];
    if (version !== 1 || pageSize !== PAGE_SIZE || place < cursor.position) {
      throw new ImageError(
        `the mapped-ram header of block ${JSON.stringify(block.name)} is of an unknown kind`,
      );
    }
    cursor.position = place + block.size;
    return { bitmap, place };
  }

  /** Lays the blocks that are the guest's RAM one after the other; NUMA nodes come in the order of their names. */
  #chooseRam(): void {
    const named = [...this.#blocks.values()];
    const main = named.filter(({ name }) => name === 'pc.ram');
    const ram = main.length > 0 ? main : named.filter(({ name }) => isSystemRam(name));
    ram.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    let pages = 0;
    for (const block of ram) {
      block.firstPage = pages;
      pages += block.size / PAGE_SIZE;
    }
    if (pages > MAXIMUM_PAGES)
      throw new ImageError('the guest has more than 256 GiB of RAM, which is not supported');
    this.size = pages * PAGE_SIZE;
    if (!this.#mapped) this.#index = new PageIndex(pages);
  }

  #addMapped({ firstPage, size }: RamBlock, bitmap: number, place: number): void {
    if (firstPage === undefined) return;
    const pages = size / PAGE_SIZE;
    const room = Math.max(0, Math.min(Math.ceil(pages / 8), this.#file.size - bitmap));
    this.#mappedBlocks.push({ firstPage, pages, place, written: readUpTo(this.#file, bitmap, room) });
  }
}

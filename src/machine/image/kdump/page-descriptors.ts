import type { Compression } from '../codec/decompress.ts';
import { BlockCache } from '../file/block-cache.ts';
import { type ByteSource, u64 } from '../file/bytes.ts';
import { PAGE_SIZE } from '../store/page-source.ts';

/** `struct page_desc`: offset (64 bits), size, flags (32 bits each), page flags (64 bits). */
const DESCRIPTOR_SIZE = 24;

/** `flags`: DUMP_DH_COMPRESSED_ZLIB, _LZO, _SNAPPY, _ZSTD. */
const COMPRESSIONS = new Map<number, Compression>([
  [0x0, 'none'],
  [0x1, 'zlib'],
  [0x2, 'lzo'],
  [0x4, 'snappy'],
  [0x20, 'zstd'],
]);
const COMPRESSION_FLAGS = 0x27;

/** Which descriptors are looked at to tell a dump that was cut: the last ones, and some spread over the rest. */
const SAMPLED_LAST = 512;
const SAMPLED_REST = 32;

/** Where a page is in the dump, and how it is stored there. */
export interface PageDescriptor {
  readonly offset: number;
  /** Bytes in the dump, 1 to 4096. */
  readonly size: number;
  readonly compression: Compression;
}

/** The descriptors of a dump's pages, read as they are asked for. */
export class PageDescriptors {
  readonly #file: ByteSource;
  readonly #cache: BlockCache;
  readonly #offset: number;
  readonly #count: number;
  readonly #bytes = new Uint8Array(DESCRIPTOR_SIZE);
  readonly #view = new DataView(this.#bytes.buffer);

  /** @param offset file offset of the first of `count` descriptors */
  constructor(file: ByteSource, offset: number, count: number) {
    this.#file = file;
    this.#cache = new BlockCache(file);
    this.#offset = offset;
    this.#count = count;
  }

  /** One descriptor, or undefined where it lies beyond the end of the dump or cannot be one. */
  read(index: number): PageDescriptor | undefined {
    const count = this.#cache.read(this.#offset + index * DESCRIPTOR_SIZE, this.#bytes);
    const size = this.#view.getUint32(8, true);
    const compression = COMPRESSIONS.get(this.#view.getUint32(12, true) & COMPRESSION_FLAGS);
    if (count < DESCRIPTOR_SIZE || compression === undefined || size === 0 || size > PAGE_SIZE)
      return undefined;
    return { offset: u64(this.#view, 0), size, compression };
  }

  /**
   * Whether the dump was cut short, judged by some descriptors: pages follow one another in the file, so one of
   * them meets a cut of any size.
   */
  cutShort(): boolean {
    const stride = Math.ceil(this.#count / SAMPLED_REST);
    let sampled = 0;
    for (let index = this.#count - 1; index >= 0; index -= sampled++ < SAMPLED_LAST ? 1 : stride) {
      const descriptor = this.read(index);
      if (descriptor === undefined || descriptor.offset + descriptor.size > this.#file.size) return true;
    }
    return false;
  }
}

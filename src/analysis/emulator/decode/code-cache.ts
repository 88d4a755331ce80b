import { Decoder, DecoderOptions } from 'iced-x86';
import type { AddressSpace, CodeObserver } from '../memory/address-space.ts';
import { LOOPED, RECEIVED, WRITTEN } from '../memory/marks.ts';
import { PAGE_SIZE } from '../memory/snapshot.ts';
import { EmulationStop, type StopReason } from '../stop.ts';
import { RecordDecoder } from './decoder.ts';
import { IS_LOOPED, IS_RECEIVED, IS_WRITTEN, LENGTH, RECORD_WORDS } from './record.ts';

const MAXIMUM_RECORDS = 8192;
/** No x86 instruction is longer (Intel SDM vol. 2A 2.3.11). */
const LONGEST = 15;

/** A page that code was decoded from: iced-x86's decoder over its bytes, and where each record lies. */
interface CodePage {
  decoder: Decoder | undefined;
  /** Slab offsets that were written since the decoder took its copy: from, and behind the last. */
  staleFrom: number;
  staleTo: number;
  /** Record number by offset in the page; 0 where nothing was decoded. */
  readonly index: Int16Array;
  /** Whether anything stands in the index. */
  isUsed: boolean;
}

/**
 * Decoded instructions by where they lie. Records live in one array that is allocated once, and each page of code
 * has an index into it. A store into code drops the records that it changes.
 */
export class CodeCache implements CodeObserver, Disposable {
  readonly records = new Int32Array(MAXIMUM_RECORDS * RECORD_WORDS);

  readonly #memory: AddressSpace;
  readonly #recordDecoder = new RecordDecoder();
  /** By slab page; slab pages are handed out from the first on, so that there are no holes. */
  readonly #pages: (CodePage | undefined)[] = [];
  readonly #window = new Uint8Array(2 * LONGEST);
  #bits: 32 | 64 = 64;
  /** Record 0 stands for none, record 1 for an instruction that crosses pages, which is decoded every time. */
  #next = 2;

  constructor(memory: AddressSpace) {
    this.#memory = memory;
  }

  [Symbol.dispose](): void {
    this.reset(this.#bits);
    this.#recordDecoder[Symbol.dispose]();
  }

  /** Forgets all code. */
  reset(bits: 32 | 64): void {
    this.#bits = bits;
    this.#forgetRecords();
    for (const page of this.#pages) if (page !== undefined) dropDecoder(page);
  }

  /** The index of the page at a slab offset: a record's number for each byte of the page at which one starts. */
  indexOf(base: number): Int16Array {
    return this.#pageAt(base).index;
  }

  /** Decodes the instruction at an address, whose page lies at `base`; throws an EmulationStop when it cannot. */
  decode(high: number, low: number, base: number): number {
    const inPage = low & (PAGE_SIZE - 1);
    const offset = base + inPage;
    const page = this.#pageAt(base);
    const decoder = this.#decoderOf(page, base, offset);
    decoder.position = inPage;
    if (this.#recordDecoder.decode(decoder) === 0 && inPage > PAGE_SIZE - LONGEST) {
      return this.#decodeAcrossPages(high, low, offset);
    }
    if (this.#next === MAXIMUM_RECORDS) this.#forgetRecords();
    const at = this.#next * RECORD_WORDS;
    this.#fill(at, this.#memory.slab.bytes, offset);
    this.#addMarks(at, offset, (this.records[at + LENGTH] ?? 0) & 0xff);
    page.index[inPage] = this.#next;
    page.isUsed = true;
    this.#next++;
    return at;
  }

  /** Drops the records that the bytes belong to. */
  codeWritten(offset: number, length: number): void {
    const page = this.#pages[offset >>> 12];
    if (page === undefined) return;
    page.staleFrom = Math.min(page.staleFrom, offset);
    page.staleTo = Math.max(page.staleTo, offset + length);
    const first = Math.max(offset - LONGEST + 1, offset & ~(PAGE_SIZE - 1));
    for (let start = first; start < offset + length; start++) {
      const number = page.index[start & (PAGE_SIZE - 1)] ?? 0;
      if (number === 0) continue;
      const end = start + ((this.records[number * RECORD_WORDS + LENGTH] ?? 0) & 0xff);
      if (end > offset) page.index[start & (PAGE_SIZE - 1)] = 0;
    }
  }

  #forgetRecords(): void {
    this.#next = 2;
    for (const page of this.#pages) {
      if (page?.isUsed !== true) continue;
      page.index.fill(0);
      page.isUsed = false;
    }
  }

  #pageAt(base: number): CodePage {
    const number = base >>> 12;
    let page = this.#pages[number];
    if (page === undefined) {
      page = {
        decoder: undefined,
        staleFrom: Infinity,
        staleTo: 0,
        index: new Int16Array(PAGE_SIZE),
        isUsed: false,
      };
      this.#pages[number] = page;
    }
    this.#memory.slab.setCode(base);
    return page;
  }

  #decoderOf(page: CodePage, base: number, offset: number): Decoder {
    const isStale = page.staleFrom < offset + LONGEST && page.staleTo > offset;
    if (page.decoder !== undefined && !isStale) return page.decoder;
    dropDecoder(page);
    const bytes = this.#memory.slab.bytes.subarray(base, base + PAGE_SIZE);
    page.decoder = new Decoder(this.#bits, bytes, DecoderOptions.None);
    return page.decoder;
  }

  #decodeAcrossPages(high: number, low: number, offset: number): number {
    const here = PAGE_SIZE - (low & (PAGE_SIZE - 1));
    const nextLow = (low + here) | 0;
    const nextHigh = nextLow === 0 ? (high + 1) | 0 : high;
    const behind = this.#memory.lookup(nextHigh, nextLow, 'fetch');
    const { bytes } = this.#memory.slab;
    this.#window.set(bytes.subarray(offset, offset + here));
    this.#window.set(bytes.subarray(behind, behind + LONGEST), here);
    const decoder = new Decoder(this.#bits, this.#window, DecoderOptions.None);
    try {
      this.#recordDecoder.decode(decoder);
      this.#fill(RECORD_WORDS, this.#window, 0);
    } finally {
      decoder.free();
    }
    const length = (this.records[RECORD_WORDS + LENGTH] ?? 0) & 0xff;
    this.#addMarks(RECORD_WORDS, offset, here);
    this.#addMarks(RECORD_WORDS, behind, length - here);
    return RECORD_WORDS;
  }

  #fill(at: number, bytes: Uint8Array, start: number): void {
    const problem: StopReason | undefined = this.#recordDecoder.fill(
      this.records,
      at,
      bytes,
      start,
      this.#bits,
    );
    if (problem !== undefined) throw new EmulationStop(problem);
  }

  /** Notes in a record what is known of the bytes that it came from. */
  #addMarks(at: number, offset: number, length: number): void {
    const { marks } = this.#memory.slab;
    let all = 0;
    for (let i = 0; i < length; i++) all |= marks[offset + i] ?? 0;
    let flags = 0;
    if ((all & WRITTEN) !== 0) flags |= IS_WRITTEN;
    if ((all & LOOPED) !== 0) flags |= IS_LOOPED;
    if ((all & RECEIVED) !== 0) flags |= IS_RECEIVED;
    if (flags !== 0) this.records[at + LENGTH] = (this.records[at + LENGTH] ?? 0) | flags;
  }
}

function dropDecoder(page: CodePage): void {
  page.decoder?.free();
  page.decoder = undefined;
  page.staleFrom = Infinity;
  page.staleTo = 0;
}

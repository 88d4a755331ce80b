import zlib from 'node:zlib';
import { PAGE, type SampleRange } from './memory.ts';
import { ByteWriter } from './writer.ts';

/** How pages are stored, and what is left out. */
export interface KdumpOptions {
  readonly compression?: 'none' | 'zlib' | 'zstd' | 'lzo' | 'snappy';
  readonly dumpLevel?: number;
  /** Whether a page is left out; by default none is. */
  readonly excluded?: (page: Buffer, address: number) => boolean;
  readonly version?: number;
  readonly split?: number;
  readonly machine?: string;
  readonly status?: number;
  readonly vmcoreinfo?: string;
  readonly notes?: Uint8Array;
}

interface StoredPage {
  readonly flags: number;
  readonly bytes: Uint8Array;
}

/** A kdump-compressed dump, laid out as makedumpfile's IMPLEMENTATION describes. */
export function kdump(memory: readonly SampleRange[], options: KdumpOptions = {}): Buffer {
  const {
    compression = 'zlib',
    excluded = () => false,
    vmcoreinfo = '',
    notes = new Uint8Array(0),
  } = options;
  const frames = Math.max(...memory.map(({ start, bytes }) => (start + bytes.length) / PAGE));
  const bitmapBlocks = Math.ceil(frames / 8 / PAGE);
  const present = Buffer.alloc(bitmapBlocks * PAGE);
  const dumped = Buffer.alloc(bitmapBlocks * PAGE);
  const pages: StoredPage[] = [];
  for (const { start, bytes } of memory) {
    for (let at = 0; at < bytes.length; at += PAGE) {
      const page = bytes.subarray(at, at + PAGE);
      setBit(present, (start + at) / PAGE);
      if (excluded(page, start + at)) continue;
      setBit(dumped, (start + at) / PAGE);
      pages.push(store(page, compression));
    }
  }
  const infoOffset = 2 * PAGE - 2048;
  const subBlocks = 1 + Math.ceil(notes.length / PAGE);
  const writer = mainHeader(options, subBlocks, 2 * bitmapBlocks, frames).padTo(PAGE);
  subHeader(writer, options, frames, infoOffset, vmcoreinfo.length, 2 * PAGE, notes.length);
  writer
    .padTo(infoOffset)
    .text(vmcoreinfo)
    .padTo(2 * PAGE)
    .bytes(notes)
    .padTo(PAGE * (1 + subBlocks));
  writer.bytes(present, dumped);
  let offset = writer.length + 24 * pages.length;
  for (const { flags, bytes } of pages) {
    writer.le(8, offset).le(4, bytes.length, flags).le(8, 0);
    offset += bytes.length;
  }
  return writer.bytes(...pages.map(({ bytes }) => bytes)).done();
}

function mainHeader(
  options: KdumpOptions,
  subBlocks: number,
  bitmapBlocks: number,
  frames: number,
): ByteWriter {
  const { version = 6, machine = 'x86_64', status = 1 } = options;
  const names = ['Linux', 'guest', '6.1.0', '#1', machine, '(none)'];
  const writer = new ByteWriter().text('KDUMP   ').le(4, version);
  for (const name of names) writer.text(name, 65);
  return writer
    .padTo(424)
    .le(4, status, PAGE, subBlocks, bitmapBlocks, Math.min(frames, 0xffff_ffff), 0, 0, 0, 0, 1);
}

function subHeader(
  writer: ByteWriter,
  { dumpLevel = 0, split = 0 }: KdumpOptions,
  frames: number,
  infoOffset: number,
  infoSize: number,
  noteOffset: number,
  noteSize: number,
): void {
  writer
    .le(8, 0)
    .le(4, dumpLevel, split)
    .le(8, 0, 0, infoOffset, infoSize, noteOffset, noteSize, 0, 0, 0, 0, frames);
}

function setBit(bits: Uint8Array, index: number): void {
  bits[index >>> 3] = (bits[index >>> 3] ?? 0) | (1 << (index & 7));
}

function store(page: Buffer, compression: NonNullable<KdumpOptions['compression']>): StoredPage {
  const [flags, bytes] = compressed(page, compression);
  return bytes.length < PAGE ? { flags, bytes } : { flags: 0, bytes: page };
}

function compressed(
  page: Buffer,
  compression: NonNullable<KdumpOptions['compression']>,
): readonly [number, Uint8Array] {
  switch (compression) {
    case 'none':
      return [0, page];
    case 'zlib':
      return [0x1, zlib.deflateSync(page, { level: 1 })];
    case 'zstd':
      return [0x20, zlib.zstdCompressSync(page)];
    case 'lzo':
      return [0x2, runLengthLzo(page)];
    case 'snappy':
      return [0x4, runLengthSnappy(page)];
  }
}

/** LZO1X of a page's literals up to its trailing zeros, then one match: enough for a page that ends in zeros. */
function runLengthLzo(page: Buffer): Uint8Array {
  const used = Math.max(4, trimmed(page) + 1);
  const writer = new ByteWriter();
  if (used <= 238) writer.u8(used + 17);
  else writer.bytes(lengthField(0, used - 3, 15));
  writer.bytes(page.subarray(0, used));
  if (PAGE > used) writer.bytes(lengthField(32, PAGE - used - 2, 31)).le(2, 0);
  return writer.u8(17).le(2, 0).done();
}

function lengthField(opcode: number, length: number, mask: number): Uint8Array {
  if (length <= mask) return Uint8Array.of(opcode | length);
  const rest = length - mask;
  const zeros = Math.ceil(rest / 255) - 1;
  return Uint8Array.of(opcode, ...new Uint8Array(zeros), rest - 255 * zeros);
}

/** Snappy with the same two elements: literals, then copies at distance 1. */
export function runLengthSnappy(content: Buffer): Uint8Array {
  const used = Math.max(1, Math.min(content.length, trimmed(content) + 1));
  const writer = new ByteWriter().bytes(varint(content.length));
  writer
    .u8(61 << 2)
    .le(2, used - 1)
    .bytes(content.subarray(0, used));
  for (let left = content.length - used; left > 0; left -= 64)
    writer.u8(((Math.min(left, 64) - 1) << 2) | 2).le(2, 1);
  return writer.done();
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest >= 128 ? (rest % 128) | 0x80 : rest);
    if (rest < 128) return Uint8Array.from(bytes);
  }
}

/** Length of `content` without trailing zeros. */
function trimmed(content: Buffer): number {
  let length = content.length;
  while (length > 0 && content[length - 1] === 0) length--;
  return length;
}

/** The flattened form of a dump: pieces of `size` bytes, each after a header, in the order that `order` gives. */
export function flattened(
  dump: Buffer,
  size: number,
  order: (pieces: number[]) => number[] = (all) => all,
): Buffer {
  const writer = new ByteWriter().text('makedumpfile', 16).be(8, 1, 1).padTo(PAGE);
  const offsets = Array.from({ length: Math.ceil(dump.length / size) }, (_, index) => index * size);
  for (const offset of order(offsets)) {
    const piece = dump.subarray(offset, offset + size);
    writer.be(8, offset, piece.length).bytes(piece);
  }
  return writer.be(8, -1n, -1n).done();
}

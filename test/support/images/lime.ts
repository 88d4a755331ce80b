import { runLengthSnappy } from './kdump.ts';
import type { SampleRange } from './memory.ts';
import { ByteWriter } from './writer.ts';

/** A LiME image, or AVML's uncompressed form: a header and the bytes of each range. */
export function lime(memory: readonly SampleRange[]): Buffer {
  const writer = new ByteWriter();
  for (const { start, bytes } of memory) rangeHeader(writer, 'EMiL', 1, start, bytes.length).bytes(bytes);
  return writer.done();
}

/** AVML's compressed form. Every third frame is stored as it is; an unknown skippable frame comes first. */
export function avml(memory: readonly SampleRange[], frameSize = 65_536): Buffer {
  const writer = new ByteWriter();
  for (const { start, bytes } of memory) {
    rangeHeader(writer, 'AVML', 2, start, bytes.length);
    const before = writer.length;
    writer
      .bytes(Uint8Array.of(0xff, 6, 0, 0))
      .text('sNaPpY')
      .bytes(Uint8Array.of(0xfe, 3, 0, 0, 0, 0, 0));
    for (let at = 0; at < bytes.length; at += frameSize) {
      const content = bytes.subarray(at, at + frameSize);
      const plain = (at / frameSize) % 3 === 2;
      const stored = plain ? content : runLengthSnappy(content);
      writer
        .le(4, (plain ? 1 : 0) + (stored.length + 4) * 256)
        .le(4, 0)
        .bytes(stored);
    }
    writer.le(8, writer.length - before);
  }
  return writer.done();
}

function rangeHeader(
  writer: ByteWriter,
  magic: string,
  version: number,
  start: number,
  size: number,
): ByteWriter {
  return writer
    .text(magic)
    .le(4, version)
    .le(8, start, start + size - 1, 0);
}

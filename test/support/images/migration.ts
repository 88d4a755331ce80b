import { PAGE } from './memory.ts';
import { ByteWriter } from './writer.ts';

/** A RAM block of a sample migration. */
export interface SampleBlock {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The start of every stream: magic, version, configuration. */
function start(machine: string, capabilities: readonly string[]): ByteWriter {
  const writer = new ByteWriter().text('QEVM').be(4, 3).u8(7).be(4, machine.length).text(machine);
  if (capabilities.length === 0) return writer;
  const name = 'configuration/capabilities';
  writer.u8(5).u8(name.length).text(name).be(4, 1, capabilities.length);
  for (const capability of capabilities) writer.u8(capability.length).text(capability);
  return writer;
}

function sectionStart(writer: ByteWriter, blocks: readonly SampleBlock[]): void {
  const total = blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
  writer
    .u8(1)
    .be(4, 2)
    .u8(3)
    .text('ram')
    .be(4, 0, 4)
    .be(8, total + 4);
}

/**
 * A migration stream as QEMU writes one to a file: RAM blocks, then every page (zeros as a flag), in two passes of
 * which the second repeats the first `again` pages; the first pass holds wrong bytes for those.
 */
export function migrationStream(machine: string, blocks: readonly SampleBlock[], again = 3): Buffer {
  const writer = start(machine, []);
  sectionStart(writer, blocks);
  for (const { name, bytes } of blocks) writer.u8(name.length).text(name).be(8, bytes.length);
  writer.be(8, 0x10).u8(0x7e).be(4, 2);
  writer.u8(2).be(4, 2);
  for (const block of blocks)
    pages(writer, block, 0, block.bytes.length / PAGE, (page, index) =>
      index < again ? Buffer.alloc(PAGE, 0xee) : page,
    );
  writer.be(8, 0x10).u8(0x7e).be(4, 2);
  writer.u8(3).be(4, 2);
  for (const block of blocks)
    pages(writer, block, 0, Math.min(again, block.bytes.length / PAGE), (page) => page);
  writer.be(8, 0x10).u8(0x7e).be(4, 2);
  return writer.u8(4).be(4, 3).text('device state').done();
}

function pages(
  writer: ByteWriter,
  { name, bytes }: SampleBlock,
  from: number,
  to: number,
  change: (page: Buffer, index: number) => Buffer,
): void {
  for (let index = from; index < to; index++) {
    const page = change(bytes.subarray(index * PAGE, (index + 1) * PAGE), index);
    const zero = page.every((byte) => byte === 0);
    const flags = (zero ? 0x02 : 0x08) | (index > from ? 0x20 : 0);
    writer.be(8, index * PAGE + flags);
    if (index === from) writer.u8(name.length).text(name);
    if (zero) writer.u8(0);
    else writer.bytes(page);
  }
}

/** A file of QEMU's mapped-ram capability: pages at fixed places, pages of zeros left out of the bitmap. */
export function mappedRam(machine: string, blocks: readonly SampleBlock[]): Buffer {
  const writer = start(machine, ['mapped-ram']);
  sectionStart(writer, blocks);
  for (const { name, bytes } of blocks) {
    writer.u8(name.length).text(name).be(8, bytes.length);
    const bitmap = new Uint8Array(Math.ceil(bytes.length / PAGE / 64) * 8);
    const content = Buffer.from(bytes);
    for (let page = 0; page < bytes.length / PAGE; page++) {
      const here = content.subarray(page * PAGE, (page + 1) * PAGE);
      if (here.some((byte) => byte !== 0)) bitmap[page >>> 3] = (bitmap[page >>> 3] ?? 0) | (1 << (page & 7));
      else here.fill(0xdd);
    }
    const bitmapOffset = writer.length + 28;
    const place = Math.ceil((bitmapOffset + bitmap.length) / 0x10_0000) * 0x10_0000;
    writer.be(4, 1).be(8, PAGE, bitmapOffset, place).bytes(bitmap).padTo(place).bytes(content);
  }
  return writer.be(8, 0x10).u8(0x7e).be(4, 2).u8(0).done();
}

/** What libvirt puts before a stream. */
export function libvirtSave(stream: Buffer, compression = 0): Buffer {
  const description = '<domain type="qemu"/>\0';
  return new ByteWriter()
    .text('LibvirtQemudSave')
    .le(4, 2, description.length, 1, compression, 0)
    .padTo(92)
    .text(description)
    .bytes(stream)
    .done();
}

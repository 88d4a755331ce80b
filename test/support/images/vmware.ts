import { PAGE, type SampleRange } from './memory.ts';
import { ByteWriter } from './writer.ts';

/** A VMware checkpoint that describes `memory`, which lies in a `.vmem` file or, with `embed`, in itself. */
export function vmwareState(memory: readonly SampleRange[], embed = false): Buffer {
  const tags = new ByteWriter();
  tag(tags, 'regionsCount', [], memory.length);
  let page = 0;
  memory.forEach(({ start, bytes }, index) => {
    tag(tags, 'regionPPN', [index], start / PAGE);
    tag(tags, 'regionPageNum', [index], page);
    tag(tags, 'regionSize', [index], bytes.length / PAGE);
    page += bytes.length / PAGE;
  });
  const groupOffset = 12 + 2 * 80;
  if (embed) {
    const content = vmem(memory);
    tags
      .u8(0x3f | (2 << 6))
      .u8(6)
      .text('Memory')
      .le(4, 0, 0)
      .le(8, content.length, content.length)
      .le(2, 5);
    tags.bytes(new Uint8Array(5), content);
  }
  tag(tags, 'align_mask', [0], 0xffff);
  const content = tags.le(2, 0).done();
  return new ByteWriter()
    .le(4, 0xbed2_bed2, 8, 2)
    .text('cpu', 64)
    .le(8, 0, 0)
    .text('memory', 64)
    .le(8, groupOffset, content.length)
    .bytes(content)
    .done();
}

/** The memory file that goes with it. */
export function vmem(memory: readonly SampleRange[]): Buffer {
  return Buffer.concat(memory.map(({ bytes }) => bytes));
}

function tag(writer: ByteWriter, name: string, indices: readonly number[], value: number): void {
  writer
    .u8(4 | (indices.length << 6))
    .u8(name.length)
    .text(name)
    .le(4, ...indices, value);
}

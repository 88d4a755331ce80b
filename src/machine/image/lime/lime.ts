import { type ByteSource, u64, viewAt } from '../file/bytes.ts';
import { extent, type ImageContent, ImageError } from '../image.ts';
import { ADDRESS_LIMIT, MAXIMUM_RANGES } from '../store/page-source.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import { SegmentSource } from '../store/segment-source.ts';

/** `lime_mem_range_header`, version 1 (LiME's doc/README.md); AVML's version 2 has the same fields. */
export const LIME_HEADER_SIZE = 32;
/** "EMiL": 0x4c694d45, little-endian. */
export const LIME_MAGIC = 0x4c69_4d45;

/** One range's header: the addresses of its first byte and, as in the file, of its last one. */
export interface LimeHeader {
  readonly magic: number;
  readonly version: number;
  readonly start: number;
  readonly last: number;
}

/** The range header at `position`, or undefined where the file ends before its end. */
export function limeHeader(file: ByteSource, position: number): LimeHeader | undefined {
  const view = viewAt(file, position, LIME_HEADER_SIZE);
  if (view === undefined) return undefined;
  const [magic, version] = [view.getUint32(0, true), view.getUint32(4, true)];
  return { magic, version, start: u64(view, 8), last: u64(view, 16) };
}

/** Whether a header's addresses make a range. */
export function isRange({ start, last }: LimeHeader): boolean {
  return last >= start && last < ADDRESS_LIMIT;
}

/** LiME's `lime` form (also AVML's uncompressed one): each range of RAM after a header that says where it was. */
export function openLime(file: ByteSource): ImageContent {
  const segments = new SegmentBuilder();
  const notes: string[] = [];
  let position = 0;
  while (position < file.size) {
    const header = limeHeader(file, position);
    const good = header?.magic === LIME_MAGIC && header.version === 1 && isRange(header);
    if (!good || segments.count >= MAXIMUM_RANGES) {
      notes.push(`there is no range header at file offset ${position}: what follows is not used`);
      break;
    }
    position += LIME_HEADER_SIZE;
    const size = header.last + 1 - header.start;
    const present = Math.min(size, file.size - position);
    if (present < size) {
      notes.push(
        `memory at ${extent(header.start + present, header.last + 1)} lies beyond the end of the file`,
      );
    }
    segments.add(header.start, present, position);
    position += size;
  }
  const { table, overlapping } = segments.build('first');
  if (table.count === 0) throw new ImageError('the LiME image holds no memory');
  if (overlapping) notes.push('ranges overlap: the first that names an address is used');
  return { format: 'LiME', source: new SegmentSource(file, table), notes };
}

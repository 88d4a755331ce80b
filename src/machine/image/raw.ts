import { gpa } from '../../memory/address.ts';
import type { ByteSource, FileRange } from './file/bytes.ts';
import { extent, type ImageContent, ImageError } from './image.ts';
import { ADDRESS_LIMIT } from './store/page-source.ts';
import { SegmentBuilder } from './store/segment-builder.ts';
import { SegmentSource } from './store/segment-source.ts';

/**
 * A flat file: guest-physical address 0 is its first byte (QEMU's pmemsave, LiME's padded form). Where RAM is split
 * around the PCI hole and the file is not (a memory-backend-file, LiME's raw form), `ranges` says what lies where.
 */
export function openRaw(file: ByteSource, ranges?: readonly FileRange[], format = 'raw'): ImageContent {
  const segments = new SegmentBuilder();
  const notes: string[] = [];
  for (const { start, size, offset } of ranges ?? [{ start: gpa(0), size: file.size, offset: 0 }]) {
    if (!(start >= 0 && size > 0 && offset >= 0 && start + size <= ADDRESS_LIMIT)) {
      throw new ImageError(`the range of ${size} bytes at address ${start} cannot be one of a memory image`);
    }
    const present = Math.max(0, Math.min(size, file.size - offset));
    if (present < size) {
      notes.push(`memory at ${extent(start + present, start + size)} lies beyond the end of the file`);
    }
    segments.add(start, present, offset);
  }
  const { table, overlapping } = segments.build('first');
  if (table.count === 0) throw new ImageError('no range of the image lies in the file');
  if (overlapping) notes.push('ranges overlap: the first that names an address is used');
  return { format, source: new SegmentSource(file, table), notes };
}

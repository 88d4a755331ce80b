import { type ByteSource, viewAt } from '../file/bytes.ts';
import { type ImageContent, ImageError } from '../image.ts';
import { ramRanges } from '../ram-layout.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import type { SegmentTable } from '../store/segment-table.ts';
import { MigrationSource } from './migration-source.ts';
import { StreamWalk } from './stream-walk.ts';

/** What libvirt puts before a stream: `virsh save` (src/qemu/qemu_saveimage.h). */
export const LIBVIRT_MAGIC = 'LibvirtQemudSave';
const LIBVIRT_HEADER_SIZE = 92;

/** A file that libvirt saved: its header, the domain's description, then a stream. */
export function openLibvirtSave(file: ByteSource): ImageContent {
  const header = viewAt(file, 0, LIBVIRT_HEADER_SIZE);
  if (header === undefined) throw new ImageError('the header of the saved domain is cut short');
  if (header.getUint32(28, true) !== 0) {
    throw new ImageError('the saved domain is compressed as a whole; save it with save_image_format = "raw"');
  }
  const start = LIBVIRT_HEADER_SIZE + header.getUint32(20, true);
  const content = openMigration(file, start);
  return { ...content, format: 'libvirt save (QEMU migration stream)' };
}

/**
 * A QEMU migration stream in a file (`migrate exec:`, `migrate file:`, `virsh dump` without --memory-only): the list
 * of RAM blocks, then pages in any number of passes, of which the last copy holds. Device state, which comes after,
 * is not read. The machine type in the stream says how RAM is laid out.
 */
export function openMigration(file: ByteSource, start = 0): ImageContent {
  const walk = new StreamWalk(file, start);
  const notes = walk.run();
  const source = new MigrationSource(file, walk.ram.pages, layout(walk));
  if (source.ranges.length === 0) throw new ImageError('the migration stream holds no page of RAM');
  return { format: walk.mapped ? 'QEMU migration (mapped-ram)' : 'QEMU migration stream', source, notes };
}

function layout({ machine, ram }: StreamWalk): SegmentTable {
  const segments = new SegmentBuilder();
  for (const { start, size, offset } of ramRanges(machine, ram.size)) segments.add(start, size, offset);
  return segments.build('first').table;
}

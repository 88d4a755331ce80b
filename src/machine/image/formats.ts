import { openElfCore } from './elf/core.ts';
import { type ByteSource, readUpTo } from './file/bytes.ts';
import type { ImageFile } from './file/image-file.ts';
import { type ImageContent, ImageError } from './image.ts';
import { FLATTENED_SIGNATURE, FlattenedFile } from './kdump/flattened.ts';
import { KDUMP_SIGNATURE } from './kdump/header.ts';
import { openKdump } from './kdump/kdump.ts';
import { openAvml } from './lime/avml.ts';
import { AVML_MAGIC } from './lime/avml-frames.ts';
import { LIME_MAGIC, openLime } from './lime/lime.ts';
import { LIBVIRT_MAGIC, openLibvirtSave, openMigration } from './migration/migration.ts';
import { MIGRATION_MAGIC } from './migration/stream-walk.ts';
import { openRaw } from './raw.ts';
import { VMWARE_MAGICS } from './vmware/state.ts';
import { openVmem, openVmwareState, stateBesides } from './vmware/vmware.ts';

/** What a file is, by its first bytes. */
export type Format =
  | 'flattened'
  | 'kdump'
  | 'elf'
  | 'lime'
  | 'avml'
  | 'migration'
  | 'libvirt'
  | 'vmware'
  | 'raw';

const SIGNATURES: readonly (readonly [string, Format])[] = [
  [FLATTENED_SIGNATURE, 'flattened'],
  [KDUMP_SIGNATURE, 'kdump'],
  ['\x7fELF', 'elf'],
  [littleEndian(LIME_MAGIC), 'lime'],
  [littleEndian(AVML_MAGIC), 'avml'],
  [MIGRATION_MAGIC, 'migration'],
  [LIBVIRT_MAGIC, 'libvirt'],
  ...[...VMWARE_MAGICS].map((magic) => [littleEndian(magic), 'vmware'] as const),
];

/** Files that are often handed over in place of an image, and what to do about each. */
const OTHERS: readonly (readonly [string, string])[] = [
  ['\x1f\x8b', 'it is a gzip file; unpack it first'],
  ['\xfd7zXZ\0', 'it is an xz file; unpack it first'],
  ['\x28\xb5\x2f\xfd', 'it is a zstd file; unpack it first'],
  ['BZh', 'it is a bzip2 file; unpack it first'],
  ['PK\x03\x04', 'it is a zip file; unpack it first'],
  ['7z\xbc\xaf\x27\x1c', 'it is a 7z file; unpack it first'],
  ['QFI\xfb', 'it is a qcow2 disk image; save memory with dump-guest-memory or migrate'],
  ['KDMV', 'it is a VMware disk image, not memory'],
  ['DISKDUMP', 'it is a diskdump, which kernels have not made since 2.6'],
  ['LibvirtQemudPart', 'it is a domain whose saving was not completed'],
  ['PAGEDU64', 'it is a Windows crash dump, and only Linux guests are supported'],
  ['PAGEDUMP', 'it is a Windows crash dump, and only Linux guests are supported'],
];

const KNOWN =
  'ELF core, kdump-compressed (also flattened), LiME, AVML, QEMU migration, libvirt save, VMware .vmem with .vmss or .vmsn, raw';

/** A file without a known signature that is smaller cannot be all of a Linux machine's memory. */
const MINIMUM_RAW_SIZE = 2 ** 20;

/** Tells the format by content. Throws an ImageError where it is none that is known. */
export function identify(file: ByteSource): Format {
  const start = Buffer.from(readUpTo(file, 0, 32)).toString('latin1');
  const known = SIGNATURES.find(([signature]) => start.startsWith(signature));
  if (known !== undefined) return known[1];
  const other = OTHERS.find(([signature]) => start.startsWith(signature));
  if (other !== undefined) throw new ImageError(`${other[1]} (known formats: ${KNOWN})`);
  if (file.size < MINIMUM_RAW_SIZE) {
    throw new ImageError(
      `it is in no known format, and too small to be a raw image (known formats: ${KNOWN})`,
    );
  }
  return 'raw';
}

/** An opened format, and what it holds open besides the file. */
export interface OpenContent extends ImageContent {
  readonly release?: () => void;
}

/** Reads the headers of a file of that format. */
export function openContent(file: ImageFile, format: Format): OpenContent {
  switch (format) {
    case 'flattened':
      return openFlattened(file);
    case 'kdump':
      return openKdump(file);
    case 'elf':
      return openElfCore(file);
    case 'lime':
      return openLime(file);
    case 'avml':
      return openAvml(file);
    case 'migration':
      return openMigration(file);
    case 'libvirt':
      return openLibvirtSave(file);
    case 'vmware':
      return openVmwareState(file);
    case 'raw':
      return openFlat(file);
  }
}

function openFlattened(file: ByteSource): ImageContent {
  const inner = new FlattenedFile(file);
  const format = identify(inner);
  if (format !== 'kdump' && format !== 'elf')
    throw new ImageError('the flattened dump holds neither a kdump nor an ELF core');
  const content = format === 'kdump' ? openKdump(inner) : openElfCore(inner);
  return { ...content, format: `${content.format} (flattened)`, notes: [...inner.notes, ...content.notes] };
}

function openFlat(file: ImageFile): ImageContent {
  const state = stateBesides(file);
  return state === undefined ? openRaw(file) : openVmem(file, state);
}

function littleEndian(magic: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(magic);
  return bytes.toString('latin1');
}

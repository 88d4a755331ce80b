import { type ByteSource, readUpTo, u64, viewAt } from '../file/bytes.ts';
import { extent, type ImageContent, ImageError } from '../image.ts';
import { ADDRESS_LIMIT } from '../store/page-source.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import { SegmentSource } from '../store/segment-source.ts';
import { readNotes } from './notes.ts';

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
const ET_CORE = 4;
const EM_X86_64 = 62;
/** In `e_phnum`: the number is in the first section header's `sh_info` (gABI, "Extended numbering"). */
const PN_XNUM = 0xffff;
const PT_LOAD = 1;
const PT_NOTE = 4;

const MAXIMUM_PROGRAM_HEADERS = 2 ** 20;
const MAXIMUM_NOTES_SIZE = 2 ** 24;

/** Notes about single segments stop here; after that only their number is said. */
const MAXIMUM_SEGMENT_NOTES = 8;

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly physical: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

/**
 * An ELF core whose PT_LOAD segments say by `p_paddr` where in guest-physical memory they were: QEMU's
 * dump-guest-memory (with `paging`, segments overlap: the same page under several virtual addresses), `virsh dump
 * --memory-only`, /proc/vmcore. Segments with no physical address (all ones in /proc/kcore) are left out.
 */
export function openElfCore(file: ByteSource): ImageContent {
  const header = viewAt(file, 0, HEADER_SIZE);
  if (header === undefined) throw new ImageError('the ELF header is cut short');
  checkHeader(header);
  const segments = new SegmentBuilder();
  const missing = new Missing();
  let notes = readNotes(new Uint8Array(0));
  for (const segment of programHeaders(file, header, missing)) {
    if (segment.type === PT_NOTE && notes.vcpus.length === 0) {
      notes = readNotes(readUpTo(file, segment.offset, Math.min(segment.fileSize, MAXIMUM_NOTES_SIZE)));
    }
    if (segment.type === PT_LOAD) addLoad(file, segment, segments, missing);
  }
  const { table } = segments.build('first');
  if (table.count === 0) throw new ImageError('the ELF core holds no physical memory');
  const source = new SegmentSource(file, table);
  return { format: 'ELF core', source, notes: missing.notes, ...notes };
}

function checkHeader(header: DataView): void {
  if (header.getUint8(4) !== 2 || header.getUint8(5) !== 1) {
    throw new ImageError(
      'the ELF core is not of a 64-bit little-endian machine, and only x86-64 is supported',
    );
  }
  if (header.getUint16(16, true) !== ET_CORE) throw new ImageError('the ELF file is a program, not a core');
  const machine = header.getUint16(18, true);
  if (machine !== EM_X86_64) {
    throw new ImageError(`the ELF core is of machine type ${machine}, and only x86-64 (62) is supported`);
  }
  if (header.getUint16(54, true) !== PROGRAM_HEADER_SIZE) {
    throw new ImageError('the ELF core has program headers of an unknown size');
  }
}

/** The program headers that are in the file; what is not is said in `missing`. */
function* programHeaders(file: ByteSource, header: DataView, missing: Missing): Generator<ProgramHeader> {
  const table = u64(header, 32);
  const stated = headerCount(file, header);
  const room = Math.max(0, Math.floor((file.size - table) / PROGRAM_HEADER_SIZE));
  const count = Math.min(stated, room, MAXIMUM_PROGRAM_HEADERS);
  if (count < stated) missing.add(`${stated - count} of ${stated} program headers are not used`);
  const bytes = readUpTo(file, table, count * PROGRAM_HEADER_SIZE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + PROGRAM_HEADER_SIZE <= bytes.length; at += PROGRAM_HEADER_SIZE) {
    yield {
      type: view.getUint32(at, true),
      offset: u64(view, at + 8),
      physical: u64(view, at + 24),
      fileSize: u64(view, at + 32),
      memorySize: u64(view, at + 40),
    };
  }
}

function headerCount(file: ByteSource, header: DataView): number {
  const count = header.getUint16(56, true);
  if (count !== PN_XNUM) return count;
  const section = viewAt(file, u64(header, 40), 64);
  if (section === undefined) throw new ImageError('the ELF core says its number of segments beyond its end');
  return section.getUint32(44, true);
}

function addLoad(file: ByteSource, load: ProgramHeader, segments: SegmentBuilder, missing: Missing): void {
  const { physical, offset, fileSize, memorySize } = load;
  if (physical + Math.max(fileSize, memorySize) > ADDRESS_LIMIT) return;
  const present = Math.max(0, Math.min(fileSize, file.size - offset));
  if (present < fileSize) {
    missing.add(
      `memory at ${extent(physical + present, physical + fileSize)} lies beyond the end of the file`,
    );
  } else if (fileSize < memorySize) {
    missing.add(`memory at ${extent(physical + fileSize, physical + memorySize)} is not in the dump`);
  }
  segments.add(physical, present, offset);
}

/** What is missing, said one by one for the first segments and by number for the rest. */
class Missing {
  readonly #notes: string[] = [];
  #more = 0;

  add(note: string): void {
    if (this.#notes.length < MAXIMUM_SEGMENT_NOTES) this.#notes.push(note);
    else this.#more++;
  }

  get notes(): readonly string[] {
    return this.#more > 0 ? [...this.#notes, `${this.#more} more segments are not whole`] : this.#notes;
  }
}

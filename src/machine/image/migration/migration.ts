import { PhysicalMemoryError, type PhysicalRange } from '../../../memory/physical-memory.ts';
import { type ByteSource, viewAt } from '../file/bytes.ts';
import { type ImageContent, ImageError } from '../image.ts';
import { ramRanges } from '../ram-layout.ts';
import { damaged, PAGE_SIZE, type PageSource, readByPages } from '../store/page-source.ts';
import { SegmentBuilder } from '../store/segment-builder.ts';
import type { SegmentTable } from '../store/segment-table.ts';
import { StreamCursor, StreamEnd } from './cursor.ts';
import type { RamPages } from './ram-pages.ts';
import { RamSection } from './ram-section.ts';

/** "QEVM", big-endian: first bytes of a stream (QEMU_VM_FILE_MAGIC, migration/savevm.h). */
export const MIGRATION_MAGIC = 'QEVM';

/** What libvirt puts before a stream: `virsh save` (src/qemu/qemu_saveimage.h). */
export const LIBVIRT_MAGIC = 'LibvirtQemudSave';
const LIBVIRT_HEADER_SIZE = 92;

/** QEMU_VM_*: what a section starts with. */
const END_OF_STREAM = 0x00;
const SECTION_START = 0x01;
const SECTION_PART = 0x02;
const SECTION_END = 0x03;
const SECTION_FULL = 0x04;
const SUBSECTION = 0x05;
const DESCRIPTION = 0x06;
const CONFIGURATION = 0x07;
const COMMAND = 0x08;
const FOOTER = 0x7e;

/** QEMU migrates with capabilities that change the stream; only these are ever written into it. */
const MAPPED_RAM = 'mapped-ram';
const IGNORE_SHARED = 'x-ignore-shared';

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

class StreamWalk {
  machine = '';
  mapped = false;
  ram: RamSection;
  readonly #file: ByteSource;
  readonly #cursor: StreamCursor;
  #ramSection = -1;
  #complete = false;

  constructor(file: ByteSource, start: number) {
    this.#file = file;
    this.#cursor = new StreamCursor(file, start);
    this.ram = new RamSection(file, false);
  }

  /** Reads up to the end of RAM; returns what is to be said about it. */
  run(): readonly string[] {
    const notes: string[] = [];
    try {
      this.#header();
      while (this.#section());
    } catch (error) {
      if (!(error instanceof StreamEnd)) throw error;
    }
    if (!this.#complete)
      notes.push('the migration stream ends within RAM: pages that it lacks are unreadable');
    if (this.machine === '')
      notes.push('the migration stream does not say its machine type: RAM is laid out as on pc');
    return notes;
  }

  #header(): void {
    if (this.#cursor.text(4) !== MIGRATION_MAGIC)
      throw new ImageError('there is no migration stream in the file');
    const version = this.#cursor.u32();
    if (version !== 3)
      throw new ImageError(`the migration stream is of version ${version}, and only 3 is supported`);
  }

  /** Reads one section; false where RAM is behind. */
  #section(): boolean {
    const cursor = this.#cursor;
    const kind = cursor.u8();
    if (kind === CONFIGURATION) this.machine = cursor.text(cursor.u32());
    else if (kind === SUBSECTION) this.#configuration();
    else if (kind === SECTION_START) this.#start();
    else if (kind === SECTION_PART || kind === SECTION_END) this.#part(kind);
    else if (kind === FOOTER) cursor.skip(4);
    else if (kind === COMMAND) this.#command();
    else if (kind === END_OF_STREAM || kind === DESCRIPTION || kind === SECTION_FULL) return this.#end();
    else throw new ImageError(`the migration stream has a section of unknown kind ${kind}`);
    return !this.#complete;
  }

  /** Device state has no length in the stream, so nothing after it can be found. */
  #end(): boolean {
    if (this.ram.size === 0) {
      throw new ImageError('the migration stream has device state before RAM, which is not supported');
    }
    return false;
  }

  #command(): void {
    this.#cursor.skip(2);
    this.#cursor.skip(this.#cursor.u16());
  }

  /** A subsection of the configuration: capabilities, the page size, or the machine's UUID. */
  #configuration(): void {
    const cursor = this.#cursor;
    const name = cursor.name();
    cursor.skip(4);
    if (name === 'configuration/target-page-bits') cursor.skip(4);
    else if (name === 'configuration/uuid') cursor.skip(16);
    else if (name === 'configuration/capabilities') {
      for (let count = cursor.u32(); count > 0; count--) this.#capability(cursor.name());
    } else throw new ImageError(`the migration stream has an unknown part ${JSON.stringify(name)}`);
  }

  #capability(name: string): void {
    if (name === MAPPED_RAM) {
      this.mapped = true;
      this.ram = new RamSection(this.#file, true);
    } else if (name === IGNORE_SHARED) {
      throw new ImageError('the migration stream was made with x-ignore-shared: RAM is not in it');
    }
  }

  #start(): void {
    const cursor = this.#cursor;
    const section = cursor.u32();
    const name = cursor.name();
    cursor.skip(4);
    const version = cursor.u32();
    if (name !== 'ram' || version !== 4) {
      throw new ImageError(
        `the migration stream has a section ${JSON.stringify(name)} of version ${version} before RAM's end, which is not supported`,
      );
    }
    this.#ramSection = section;
    this.ram.readPart(cursor);
    if (this.mapped) this.#complete = true;
  }

  #part(kind: number): void {
    const section = this.#cursor.u32();
    if (section !== this.#ramSection)
      throw new ImageError('the migration stream goes on with a section that it did not start');
    this.ram.readPart(this.#cursor);
    if (kind === SECTION_END) this.#complete = true;
  }
}

class MigrationSource implements PageSource {
  readonly ranges: readonly PhysicalRange[];
  readonly #file: ByteSource;
  readonly #pages: RamPages;
  /** Guest-physical address to offset in RAM. */
  readonly #layout: SegmentTable;
  readonly #scratch = new Uint8Array(PAGE_SIZE);

  constructor(file: ByteSource, pages: RamPages, layout: SegmentTable) {
    this.#file = file;
    this.#pages = pages;
    this.#layout = layout;
    this.ranges = this.#presentRanges();
  }

  contains(address: number, length: number): boolean {
    const last = address + length - 1;
    for (let page = address - (address % PAGE_SIZE); page <= last; page += PAGE_SIZE) {
      if (this.#locate(page) === undefined) return false;
    }
    return true;
  }

  read(address: number, target: Uint8Array): void {
    readByPages(address, target, this.#scratch, this.#readPage);
  }

  readonly #readPage = (page: number, target: Uint8Array): void => {
    const place = this.#locate(page);
    if (place === undefined) throw new PhysicalMemoryError(page);
    if (place < 0) target.fill(-1 - place);
    else if (this.#file.read(place, target) < PAGE_SIZE) {
      throw damaged(page, 'the image file ended or could not be read there');
    }
  };

  #locate(page: number): number | undefined {
    const index = this.#layout.find(page);
    if (index < 0) return undefined;
    return this.#pages.locate((this.#layout.place(index) + page - this.#layout.start(index)) / PAGE_SIZE);
  }

  #presentRanges(): readonly PhysicalRange[] {
    const present = new SegmentBuilder();
    for (const { start, size } of this.#layout.ranges()) {
      let from = start as number;
      for (let page = from; page < start + size; page += PAGE_SIZE) {
        if (this.#locate(page) !== undefined) continue;
        present.add(from, page - from, from);
        from = page + PAGE_SIZE;
      }
      present.add(from, start + size - from, from);
    }
    return present.build('first').table.ranges();
  }
}

import type { ByteSource } from '../file/bytes.ts';
import { ImageError } from '../image.ts';
import { StreamCursor, StreamEnd } from './cursor.ts';
import { RamSection } from './ram-section.ts';

/** "QEVM", big-endian: first bytes of a stream (QEMU_VM_FILE_MAGIC, migration/savevm.h). */
export const MIGRATION_MAGIC = 'QEVM';

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

/** Walks a stream, section by section, up to the end of RAM. */
export class StreamWalk {
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

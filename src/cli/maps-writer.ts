import { encodeText } from '../linux/files/text.ts';
import { PATH_COLUMN } from '../linux/maps/row.ts';
import { type Backing, formatDevice } from '../linux/maps.ts';
import type { VmaCursor } from '../linux/mm/vma-cursor.ts';
import type { Task } from '../linux/task.ts';
import { VmFlag } from '../linux/vma.ts';
import type { ByteOutput } from './byte-output.ts';
import { type Format, jsonInteger, printable } from './output.ts';

/** More than a row's numbers, punctuation and padding take. */
const ROW_BYTES = 256;
const SPACE = 0x20;
const NEWLINE = 0x0a;
const DASH = 0x2d;

/** Writes the rows of one process after another in one of the output formats. */
export interface MapsWriter {
  /** Said before the rows of a process. */
  process(task: Task): void;
  row(cursor: VmaCursor, backing: Backing): void;
  /** Said after the last row. */
  end(): void;
}

/** The writer of a format; with headings, a table has a line `# PID COMM` before each process. */
export function mapsWriter(format: Format, output: ByteOutput, withHeadings: boolean): MapsWriter {
  if (format === 'table') return new TableWriter(output, withHeadings);
  return new JsonWriter(output, format === 'json');
}

/** Lines as the guest's kernel prints them: see `formatMapsRow`; names are the guest's own bytes. */
class TableWriter implements MapsWriter {
  readonly #output: ByteOutput;
  readonly #withHeadings: boolean;
  readonly #backings = new Encodings(({ inode, path, ...device }) => ({
    numbers: ascii(`${formatDevice(device)} ${inode} `),
    path: encodeText(path),
  }));

  constructor(output: ByteOutput, withHeadings: boolean) {
    this.#output = output;
    this.#withHeadings = withHeadings;
  }

  process({ tgid, comm }: Task): void {
    if (!this.#withHeadings) return;
    const heading = Buffer.from(`# ${tgid} ${printable(comm)}\n`);
    this.#output.reserve(heading.length);
    this.#output.bytes(heading);
  }

  row(cursor: VmaCursor, backing: Backing): void {
    const output = this.#output;
    const { numbers, path } = this.#backings.of(backing);
    output.reserve(ROW_BYTES + path.length);
    const start = output.position;
    output.hex(cursor.startHigh, cursor.startLow, 8);
    output.byte(DASH);
    output.hex(cursor.endHigh, cursor.endLow, 8);
    output.byte(SPACE);
    writePermissions(output, cursor.flagsLow);
    output.byte(SPACE);
    writeOffset(output, cursor, 8);
    output.byte(SPACE);
    output.bytes(numbers);
    if (path.length > 0) {
      while (output.position - start <= PATH_COLUMN) output.byte(SPACE);
      output.bytes(path);
    }
    output.byte(NEWLINE);
  }

  end(): void {}
}

/** One object a row and line; as an array with a comma between them where that is wanted. */
class JsonWriter implements MapsWriter {
  readonly #output: ByteOutput;
  readonly #isArray: boolean;
  #process: Uint8Array = new Uint8Array(0);
  #separator = ascii('');
  readonly #backings = new Encodings(({ inode, path, ...device }) => {
    const fields = { dev: formatDevice(device), inode: jsonInteger(inode), path };
    return { numbers: Buffer.from(`","${JSON.stringify(fields).slice(2)}`), path: ascii('') };
  });

  constructor(output: ByteOutput, isArray: boolean) {
    this.#output = output;
    this.#isArray = isArray;
    if (isArray) this.#separator = ascii('[\n  ');
  }

  process({ tgid, comm }: Task): void {
    const fields = JSON.stringify({ pid: tgid, comm }).slice(0, -1);
    this.#process = Buffer.from(`${fields},"start":"0x`);
  }

  row(cursor: VmaCursor, backing: Backing): void {
    const output = this.#output;
    const { numbers } = this.#backings.of(backing);
    output.reserve(ROW_BYTES + this.#process.length + numbers.length);
    output.bytes(this.#separator);
    output.bytes(this.#process);
    output.hex(cursor.startHigh, cursor.startLow, 1);
    output.bytes(END);
    output.hex(cursor.endHigh, cursor.endLow, 1);
    output.bytes(PERMISSIONS);
    writePermissions(output, cursor.flagsLow);
    output.bytes(OFFSET);
    writeOffset(output, cursor, 1);
    output.bytes(numbers);
    if (this.#isArray) this.#separator = NEXT_ELEMENT;
    else output.byte(NEWLINE);
  }

  end(): void {
    if (!this.#isArray) return;
    this.#output.reserve(ROW_BYTES);
    this.#output.bytes(ascii(this.#separator === NEXT_ELEMENT ? '\n]\n' : '[\n]\n'));
  }
}

const END = ascii('","end":"0x');
const PERMISSIONS = ascii('","perms":"');
const OFFSET = ascii('","offset":"0x');
const NEXT_ELEMENT = ascii(',\n  ');

/** What is written of a backing, as bytes: made once for all rows of a file. */
interface Encoding {
  readonly numbers: Uint8Array;
  readonly path: Uint8Array;
}

class Encodings {
  readonly #encode: (backing: Backing) => Encoding;
  readonly #known = new WeakMap<Backing, Encoding>();
  #recentBacking: Backing | undefined;
  #recent: Encoding = { numbers: ascii(''), path: ascii('') };

  constructor(encode: (backing: Backing) => Encoding) {
    this.#encode = encode;
  }

  of(backing: Backing): Encoding {
    if (backing === this.#recentBacking) return this.#recent;
    const encoding = this.#known.get(backing) ?? this.#encode(backing);
    this.#known.set(backing, encoding);
    this.#recentBacking = backing;
    this.#recent = encoding;
    return encoding;
  }
}

function writePermissions(output: ByteOutput, flags: number): void {
  output.byte((flags & VmFlag.read) !== 0 ? 0x72 : DASH);
  output.byte((flags & VmFlag.write) !== 0 ? 0x77 : DASH);
  output.byte((flags & VmFlag.exec) !== 0 ? 0x78 : DASH);
  output.byte((flags & VmFlag.mayShare) !== 0 ? 0x73 : 0x70);
}

/** The offset into the file, in bytes; 0 for an area without one. */
function writeOffset(output: ByteOutput, cursor: VmaCursor, digits: number): void {
  const hasFile = (cursor.fileHigh | cursor.fileLow) !== 0;
  const low = hasFile ? cursor.offsetLow : 0;
  const high = hasFile ? cursor.offsetHigh : 0;
  output.hex(((high << 12) | (low >>> 20)) >>> 0, (low << 12) >>> 0, digits);
}

function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

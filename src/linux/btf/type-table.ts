import { BtfError } from './error.ts';
import { NameIndex } from './name-index.ts';

/** Kinds of BTF type records (`BTF_KIND_*`, include/uapi/linux/btf.h). */
export const BtfKind = {
  void: 0,
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  forward: 7,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  function: 12,
  functionPrototype: 13,
  variable: 14,
  dataSection: 15,
  float: 16,
  declarationTag: 17,
  typeTag: 18,
  enum64: 19,
} as const;

/** `struct btf_header` up to its string section, in bytes; newer kernels append to it. */
export const BTF_HEADER_SIZE = 24;
/** `BTF_MAGIC`, little-endian. */
export const BTF_MAGIC = 0xeb9f;
/** More bytes of BTF than any kernel has; vmlinux of 7.2 has 5.2 MB. */
export const MAX_BTF_BYTES = 64 * 1024 * 1024;

/** Words that follow the three words of a record: `[fixed, per element]`; none where a kind is not listed. */
const TRAILING_WORDS: Readonly<Record<number, readonly [number, number]>> = {
  [BtfKind.int]: [1, 0],
  [BtfKind.array]: [3, 0],
  [BtfKind.struct]: [0, 3],
  [BtfKind.union]: [0, 3],
  [BtfKind.enum]: [0, 2],
  [BtfKind.functionPrototype]: [0, 2],
  [BtfKind.variable]: [1, 0],
  [BtfKind.dataSection]: [0, 3],
  [BtfKind.declarationTag]: [1, 0],
  [BtfKind.enum64]: [0, 3],
};
const KINDS = Array.from({ length: BtfKind.enum64 + 1 }, (_, kind) => TRAILING_WORDS[kind] ?? [0, 0]);
const FIXED_WORDS = Uint8Array.from(KINDS, ([fixed]) => fixed);
const ELEMENT_WORDS = Uint8Array.from(KINDS, ([, perElement]) => perElement);

/** Where the sections of a BTF blob are, in bytes from its start. */
export interface BtfHeader {
  readonly typesAt: number;
  readonly typesLength: number;
  readonly stringsAt: number;
  readonly stringsLength: number;
  /** Size of the whole blob. */
  readonly length: number;
}

/** Decodes `struct btf_header`; undefined when these 24 bytes cannot be one. */
export function decodeBtfHeader(bytes: Uint8Array): BtfHeader | undefined {
  if (bytes.length < BTF_HEADER_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, BTF_HEADER_SIZE);
  if (view.getUint16(0, true) !== BTF_MAGIC || view.getUint8(2) !== 1 || view.getUint8(3) !== 0)
    return undefined;
  const headerLength = view.getUint32(4, true);
  const typesAt = headerLength + view.getUint32(8, true);
  const typesLength = view.getUint32(12, true);
  const stringsAt = headerLength + view.getUint32(16, true);
  const stringsLength = view.getUint32(20, true);
  const length = Math.max(typesAt + typesLength, stringsAt + stringsLength);
  const plausible =
    headerLength >= BTF_HEADER_SIZE &&
    headerLength < 4096 &&
    typesAt % 4 === 0 &&
    typesLength % 4 === 0 &&
    typesLength > 0 &&
    stringsLength > 0 &&
    length <= MAX_BTF_BYTES;
  return plausible ? { typesAt, typesLength, stringsAt, stringsLength, length } : undefined;
}

/**
 * The type records of a BTF blob (Documentation/bpf/btf.rst), addressed by type id. Id 0 is `void`. Nothing is
 * decoded into objects: each accessor reads the words of one record.
 */
export class BtfTypeTable {
  readonly #words: Uint32Array;
  readonly #strings: Uint8Array;
  /** Word index of each record, by type id. */
  readonly #at: Uint32Array;
  readonly #names: NameIndex;

  /** Keeps `bytes`, which must not change. Throws a BtfError on anything that does not add up. */
  constructor(bytes: Uint8Array) {
    const header = decodeBtfHeader(bytes);
    if (header === undefined) throw new BtfError('there is no BTF header');
    if (header.length > bytes.length) throw new BtfError('the type information is cut short');
    const types = aligned(bytes, header.typesAt, header.typesLength);
    this.#words = new Uint32Array(types.buffer, types.byteOffset, types.length / 4);
    this.#strings = bytes.subarray(header.stringsAt, header.stringsAt + header.stringsLength);
    if (this.#strings[0] !== 0 || this.#strings.at(-1) !== 0)
      throw new BtfError('the string section is not terminated');
    this.#at = indexRecords(this.#words, this.#strings.length);
    this.#names = new NameIndex(this.#strings, this.count, (id) =>
      this.kind(id) === BtfKind.function ? 0 : this.#nameOffset(id),
    );
  }

  /** Number of types, `void` included; valid ids are below it. */
  get count(): number {
    return this.#at.length;
  }

  kind(id: number): number {
    return id === 0 ? BtfKind.void : (this.#word(id, 1) >>> 24) & 0x1f;
  }

  /** Members, parameters or values of a type. */
  elementCount(id: number): number {
    return id === 0 ? 0 : this.#word(id, 1) & 0xffff;
  }

  /** `kind_flag`: for struct and union, whether members may be bit fields. */
  kindFlag(id: number): boolean {
    return id !== 0 && this.#word(id, 1) >>> 31 === 1;
  }

  /** Size in bytes, or the type that is referred to, depending on the kind. */
  sizeOrType(id: number): number {
    return id === 0 ? 0 : this.#word(id, 2);
  }

  name(id: number): string {
    return id === 0 ? 'void' : this.string(this.#nameOffset(id));
  }

  /** Word `index` of what follows the record's first three words. */
  trailing(id: number, index: number): number {
    return this.#word(id, 3 + index);
  }

  string(offset: number): string {
    const strings = this.#strings;
    if (offset >= strings.length) throw new BtfError(`no string at offset ${offset}`);
    return Buffer.from(strings.buffer, strings.byteOffset).toString(
      'latin1',
      offset,
      strings.indexOf(0, offset),
    );
  }

  /** Whether the string at an offset is the one whose bytes, its NUL included, are given; decodes nothing. */
  stringIs(offset: number, wanted: Uint8Array): boolean {
    for (let index = 0; index < wanted.length; index++)
      if (this.#strings[offset + index] !== wanted[index]) return false;
    return true;
  }

  /** Ids of the types with that name, of any kind but functions, lowest first. */
  named(name: string): number[] {
    return this.#names.find(name);
  }

  #nameOffset(id: number): number {
    return this.#word(id, 0);
  }

  #word(id: number, index: number): number {
    const at = this.#at[id];
    if (at === undefined) throw new BtfError(`there is no type ${id}`);
    const word = this.#words[at + index];
    if (word === undefined) throw new BtfError(`type ${id} is cut short`);
    return word;
  }
}

/** A part of `bytes` that lies where words can be read, copied only if it does not. */
function aligned(bytes: Uint8Array, start: number, length: number): Uint8Array {
  const part = bytes.subarray(start, start + length);
  return part.byteOffset % 4 === 0 ? part : new Uint8Array(part);
}

/** Finds where each record starts; checks every kind, length and name on the way. */
function indexRecords(words: Uint32Array, stringsLength: number): Uint32Array {
  const at = new Uint32Array(words.length / 3 + 2);
  let count = 1;
  let position = 0;
  while (position < words.length) {
    const info = words[position + 1] ?? 0;
    const kind = (info >>> 24) & 0x1f;
    if (kind === BtfKind.void || kind > BtfKind.enum64)
      throw new BtfError(`type ${count} is of the unknown kind ${kind}`);
    if ((words[position] ?? 0) >= stringsLength)
      throw new BtfError(`the name of type ${count} lies outside the strings`);
    at[count] = position;
    count += 1;
    position += 3 + (FIXED_WORDS[kind] ?? 0) + (ELEMENT_WORDS[kind] ?? 0) * (info & 0xffff);
  }
  if (position !== words.length) throw new BtfError('the last type is cut short');
  return at.slice(0, count);
}

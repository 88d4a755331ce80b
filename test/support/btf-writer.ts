import { BtfKind } from '../../src/linux/btf/type-table.ts';

/** A member of a struct that is written: a type id and where it lies. */
export interface WrittenMember {
  readonly name: string;
  readonly type: number;
  /** In bits. */
  readonly at: number;
  /** Of a bit field, in bits. */
  readonly width?: number;
}

/** Writes BTF blobs, one type after the other; each method returns the new type's id. */
export class BtfWriter {
  readonly #words: number[] = [];
  #strings = '\0';
  #count = 0;

  int(name: string, size: number): number {
    return this.#record(name, BtfKind.int, 0, size, [size * 8]);
  }

  pointer(target: number): number {
    return this.#record('', BtfKind.pointer, 0, target, []);
  }

  array(element: number, index: number, count: number): number {
    return this.#record('', BtfKind.array, 0, 0, [element, index, count]);
  }

  struct(name: string, size: number, members: readonly WrittenMember[]): number {
    return this.#composite(name, BtfKind.struct, size, members);
  }

  union(name: string, size: number, members: readonly WrittenMember[]): number {
    return this.#composite(name, BtfKind.union, size, members);
  }

  enumeration(name: string, constants: Readonly<Record<string, number>>): number {
    const values = Object.entries(constants).flatMap(([key, value]) => [this.#string(key), value]);
    return this.#record(name, BtfKind.enum, values.length / 2, 4, values);
  }

  enumeration64(name: string, constants: Readonly<Record<string, number>>): number {
    const values = Object.entries(constants).flatMap(([key, value]) => [this.#string(key), value, 0]);
    return this.#record(name, BtfKind.enum64, values.length / 3, 8, values);
  }

  typedef(name: string, target: number): number {
    return this.#record(name, BtfKind.typedef, 0, target, []);
  }

  /** const, volatile, restrict or type tag. */
  qualifier(kind: number, target: number, name = ''): number {
    return this.#record(name, kind, 0, target, []);
  }

  functionPrototype(result: number, parameters: readonly number[]): number {
    const words = parameters.flatMap((type) => [0, type]);
    return this.#record('', BtfKind.functionPrototype, parameters.length, result, words);
  }

  /** Any record, also one that no compiler writes. */
  raw(name: string, kind: number, count: number, sizeOrType: number, trailing: readonly number[]): number {
    return this.#record(name, kind, count, sizeOrType, trailing);
  }

  bytes(headerLength = 24): Uint8Array {
    const types = Buffer.alloc(this.#words.length * 4);
    this.#words.forEach((word, index) => {
      types.writeUInt32LE(word >>> 0, index * 4);
    });
    const strings = Buffer.from(this.#strings, 'latin1');
    const header = Buffer.alloc(headerLength);
    header.set([0x9f, 0xeb, 1, 0]);
    [headerLength, 0, types.length, types.length, strings.length].forEach((word, index) => {
      header.writeUInt32LE(word, 4 + index * 4);
    });
    return Buffer.concat([header, types, strings]);
  }

  #composite(name: string, kind: number, size: number, members: readonly WrittenMember[]): number {
    const flag = members.some(({ width }) => width !== undefined);
    const words = members.flatMap((member) => [
      this.#string(member.name),
      member.type,
      flag ? ((member.width ?? 0) << 24) | member.at : member.at,
    ]);
    return this.#record(name, kind, members.length, size, words, flag);
  }

  #record(
    name: string,
    kind: number,
    count: number,
    sizeOrType: number,
    trailing: readonly number[],
    flag = false,
  ): number {
    this.#words.push(
      this.#string(name),
      (flag ? 2 ** 31 : 0) + kind * 2 ** 24 + count,
      sizeOrType,
      ...trailing,
    );
    this.#count += 1;
    return this.#count;
  }

  #string(text: string): number {
    if (text === '') return 0;
    const known = this.#strings.indexOf(`\0${text}\0`);
    if (known >= 0) return known + 1;
    const at = this.#strings.length;
    this.#strings += `${text}\0`;
    return at;
  }
}

import { UsageError } from '../../errors.ts';
import { BtfError } from './error.ts';
import { nameBytes } from './name-index.ts';
import { BtfKind, BtfTypeTable } from './type-table.ts';

/** One member of a struct or union. */
export interface BtfMember {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  /** Type id. */
  readonly type: number;
  /** Bytes from the start of the outermost struct. */
  readonly offset: number;
  /** Bytes; for a bit field, those of its declared type. */
  readonly size: number;
  /** Bits from the start of the outermost struct. */
  readonly bitOffset: number;
  /** Width in bits of a bit field; 0 for any other member. */
  readonly bitFieldWidth: number;
}

/** A struct or union. */
export interface BtfStruct {
  readonly name: string;
  readonly type: number;
  readonly kind: 'struct' | 'union';
  /** Bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
}

/** How deep types may nest before they count as a cycle. */
const MAX_DEPTH = 32;

/**
 * The kernel's own description of its types (`CONFIG_DEBUG_INFO_BTF`, Documentation/bpf/btf.rst). Types are
 * looked up by name; one name may stand for several types, as C files have private structs.
 */
export class Btf {
  readonly table: BtfTypeTable;

  /** Throws a BtfError when the blob does not add up. */
  constructor(bytes: Uint8Array) {
    this.table = new BtfTypeTable(bytes);
  }

  /** Number of types, `void` included. */
  get typeCount(): number {
    return this.table.count;
  }

  /** The first struct or union of that name; undefined when there is none. */
  struct(name: string): BtfStruct | undefined {
    const type = this.structTypes(name)[0];
    return type === undefined ? undefined : this.structOfType(type);
  }

  /** Type ids of every struct and union of that name, also by typedef, lowest first. */
  structTypes(name: string): number[] {
    const types: number[] = [];
    for (const id of this.table.named(name)) {
      const type = this.table.kind(id) === BtfKind.typedef ? this.resolve(id) : id;
      if (this.isComposite(type) && !types.includes(type)) types.push(type);
    }
    return types;
  }

  /** The struct or union with that type id; throws a BtfError when it is neither. */
  structOfType(type: number): BtfStruct {
    if (!this.isComposite(type)) throw new BtfError(`type ${type} is no struct`);
    const count = this.table.elementCount(type);
    const members: BtfMember[] = [];
    for (let index = 0; index < count; index++) members.push(this.#member(type, index, 0));
    return {
      name: this.table.name(type),
      type,
      kind: this.table.kind(type) === BtfKind.struct ? 'struct' : 'union',
      size: this.table.sizeOrType(type),
      members,
    };
  }

  /**
   * A member by its path from a struct: `vm_start`, `f_path.dentry`; anonymous structs and unions on the way
   * are looked through. Undefined when the first struct of that name that has the path does not exist.
   */
  member(struct: string, path: string): BtfMember | undefined {
    for (const type of this.structTypes(struct)) {
      const found = this.memberOfType(type, path);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** As {@link member}, from a struct's type id. */
  memberOfType(type: number, path: string): BtfMember | undefined {
    let member: BtfMember | undefined;
    let within = type;
    for (const name of path.split('.')) {
      member = this.#find(within, nameBytes(name), member?.bitOffset ?? 0, 0);
      if (member === undefined) return undefined;
      within = this.resolve(member.type);
    }
    return member;
  }

  /** The constants of the first enumeration that has the given one; undefined when there is none. */
  enumerationWith(constant: string): ReadonlyMap<string, number> | undefined {
    const { table } = this;
    const wanted = nameBytes(constant);
    for (let id = 1; id < table.count; id++) {
      const kind = table.kind(id);
      if (kind !== BtfKind.enum && kind !== BtfKind.enum64) continue;
      const words = kind === BtfKind.enum ? 2 : 3;
      const count = table.elementCount(id);
      for (let index = 0; index < count; index++)
        if (table.stringIs(table.trailing(id, words * index), wanted)) return this.#constants(id, words);
    }
    return undefined;
  }

  /** Names of structs and unions that match a glob (`*` and `?`), sorted, each once. */
  search(glob: string): string[] {
    const pattern = globPattern(glob);
    const found = new Set<string>();
    for (let id = 1; id < this.table.count; id++)
      if (this.isComposite(id)) {
        const name = this.table.name(id);
        if (name !== '' && pattern.test(name)) found.add(name);
      }
    return [...found].sort();
  }

  /** Follows typedefs and qualifiers to the type that they stand for. */
  resolve(type: number): number {
    let id = type;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      if (!isTransparent(this.table.kind(id))) return id;
      id = this.table.sizeOrType(id);
    }
    throw new BtfError(`type ${type} refers to itself`);
  }

  /** Size of a type in bytes; 0 for functions, `void` and incomplete types. */
  size(type: number, depth = 0): number {
    const id = this.resolve(type);
    switch (this.table.kind(id)) {
      case BtfKind.pointer:
        return 8;
      case BtfKind.array:
        if (depth > MAX_DEPTH) throw new BtfError(`type ${type} contains itself`);
        return this.table.trailing(id, 2) * this.size(this.table.trailing(id, 0), depth + 1);
      case BtfKind.int:
      case BtfKind.struct:
      case BtfKind.union:
      case BtfKind.enum:
      case BtfKind.enum64:
      case BtfKind.float:
        return this.table.sizeOrType(id);
      default:
        return 0;
    }
  }

  /** Whether a type is a struct or a union itself, not by typedef. */
  isComposite(type: number): boolean {
    const kind = this.table.kind(type);
    return kind === BtfKind.struct || kind === BtfKind.union;
  }

  #constants(enumeration: number, words: number): Map<string, number> {
    const { table } = this;
    const constants = new Map<string, number>();
    for (let index = 0; index < table.elementCount(enumeration); index++) {
      const name = table.string(table.trailing(enumeration, words * index));
      constants.set(name, table.trailing(enumeration, words * index + 1));
    }
    return constants;
  }

  #find(type: number, name: Uint8Array, base: number, depth: number): BtfMember | undefined {
    if (depth > MAX_DEPTH) throw new BtfError(`type ${type} contains itself`);
    if (!this.isComposite(type)) return undefined;
    const { table } = this;
    for (let index = 0; index < table.elementCount(type); index++) {
      const memberName = table.trailing(type, 3 * index);
      if (table.stringIs(memberName, name)) return this.#member(type, index, base);
      if (memberName !== 0) continue;
      const anonymous = this.#member(type, index, base);
      const found = this.#find(this.resolve(anonymous.type), name, anonymous.bitOffset, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Member `index` of a struct that itself lies `base` bits into another. */
  #member(struct: number, index: number, base: number): BtfMember {
    const { table } = this;
    const type = table.trailing(struct, 3 * index + 1);
    const encoded = table.trailing(struct, 3 * index + 2);
    const flag = table.kindFlag(struct);
    const bitOffset = base + (flag ? encoded & 0xff_ffff : encoded);
    return {
      name: table.string(table.trailing(struct, 3 * index)),
      type,
      offset: Math.floor(bitOffset / 8),
      size: this.size(type),
      bitOffset,
      bitFieldWidth: flag ? encoded >>> 24 : 0,
    };
  }
}

/** Whether a kind only renames or qualifies another type. */
function isTransparent(kind: number): boolean {
  return (
    kind === BtfKind.typedef ||
    kind === BtfKind.volatile ||
    kind === BtfKind.const ||
    kind === BtfKind.restrict ||
    kind === BtfKind.typeTag
  );
}

function globPattern(glob: string): RegExp {
  if (glob.length > 256) throw new UsageError('a pattern for names may have 256 characters at most');
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}

import { BtfError } from './error.ts';
import { BtfKind } from './type-table.ts';
import type { Btf, BtfMember, BtfStruct } from './types.ts';

/** A member as people and programs read it. */
export interface MemberDescription {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  /** As C writes it: `struct list_head`, `char[16]`, `int (*)(struct inode *)`. */
  readonly type: string;
  /** Type and name together, as C writes them: `char comm[16]`. */
  readonly declaration: string;
  /** Bytes from the start of the struct that is described. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** For bit fields: the first bit within the byte at `offset`, and the width. */
  readonly bits?: { readonly first: number; readonly width: number };
  /** Where the type is a struct or union without a name. */
  readonly members?: readonly MemberDescription[];
}

/** A struct or union as people and programs read it. */
export interface StructDescription {
  readonly kind: 'struct' | 'union';
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly members: readonly MemberDescription[];
}

const MAX_DEPTH = 32;

/** Describes a struct, types without a name unfolded in place. Throws a BtfError when types contain themselves. */
export function describeStruct(btf: Btf, struct: BtfStruct): StructDescription {
  return {
    kind: struct.kind,
    name: struct.name,
    size: struct.size,
    members: struct.members.map((member) => describeMember(btf, member, 0, 0)),
  };
}

function describeMember(btf: Btf, member: BtfMember, base: number, depth: number): MemberDescription {
  if (depth > MAX_DEPTH) throw new BtfError(`type ${member.type} contains itself`);
  const offset = base + member.offset;
  const described = {
    name: member.name,
    type: typeName(btf, member.type),
    declaration: declare(btf, member.type, member.name, 0),
    offset,
    size: member.size,
  };
  if (member.bitFieldWidth > 0)
    return { ...described, bits: { first: member.bitOffset % 8, width: member.bitFieldWidth } };
  const unnamed = btf.table.name(member.type) === '' && btf.isComposite(member.type);
  if (!unnamed) return described;
  const { members } = btf.structOfType(member.type);
  return { ...described, members: members.map((inner) => describeMember(btf, inner, offset, depth + 1)) };
}

/** A type as C writes it: `struct vm_area_struct *`, `char[16]`, `void (*)(int)`. */
export function typeName(btf: Btf, type: number): string {
  return declare(btf, type, '', 0);
}

function declare(btf: Btf, type: number, declarator: string, depth: number): string {
  if (depth > MAX_DEPTH) throw new BtfError(`type ${type} contains itself`);
  const { table } = btf;
  const target = table.sizeOrType(type);
  switch (table.kind(type)) {
    case BtfKind.pointer:
      return declare(btf, target, pointerTo(btf, target, declarator), depth + 1);
    case BtfKind.array:
      return declare(btf, table.trailing(type, 0), `${declarator}[${table.trailing(type, 2)}]`, depth + 1);
    case BtfKind.functionPrototype:
      return declare(btf, target, `${declarator}(${parameters(btf, type, depth)})`, depth + 1);
    case BtfKind.const:
      return qualify(btf, target, 'const', declarator, depth);
    case BtfKind.volatile:
      return qualify(btf, target, 'volatile', declarator, depth);
    case BtfKind.restrict:
      return qualify(btf, target, 'restrict', declarator, depth);
    case BtfKind.typeTag:
      return declare(btf, target, declarator, depth + 1);
    default: {
      const gap = declarator === '' || declarator.startsWith('[') ? '' : ' ';
      return `${baseName(btf, type)}${gap}${declarator}`;
    }
  }
}

function pointerTo(btf: Btf, target: number, declarator: string): string {
  const kind = btf.table.kind(target);
  return kind === BtfKind.array || kind === BtfKind.functionPrototype ? `(*${declarator})` : `*${declarator}`;
}

function qualify(btf: Btf, target: number, word: string, declarator: string, depth: number): string {
  return btf.table.kind(target) === BtfKind.pointer
    ? declare(btf, target, declarator === '' ? word : `${word} ${declarator}`, depth + 1)
    : `${word} ${declare(btf, target, declarator, depth + 1)}`;
}

function parameters(btf: Btf, type: number, depth: number): string {
  const { table } = btf;
  const shown: string[] = [];
  for (let index = 0; index < table.elementCount(type); index++) {
    const parameter = table.trailing(type, 2 * index + 1);
    shown.push(parameter === 0 ? '...' : declare(btf, parameter, '', depth + 1));
  }
  return shown.length === 0 ? 'void' : shown.join(', ');
}

function baseName(btf: Btf, type: number): string {
  const { table } = btf;
  const name = table.name(type);
  switch (table.kind(type)) {
    case BtfKind.struct:
      return name === '' ? 'struct' : `struct ${name}`;
    case BtfKind.union:
      return name === '' ? 'union' : `union ${name}`;
    case BtfKind.enum:
    case BtfKind.enum64:
      return name === '' ? 'enum' : `enum ${name}`;
    case BtfKind.forward:
      return `${table.kindFlag(type) ? 'union' : 'struct'} ${name}`;
    default:
      return name;
  }
}

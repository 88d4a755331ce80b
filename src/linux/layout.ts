import { TargetError } from '../errors.ts';
import type { Btf, BtfMember } from './btf/types.ts';
import {
  type Members,
  OPTIONAL_STRUCTS,
  type OptionalMember,
  REQUIRED_STRUCTS,
  type RequiredMember,
} from './layout-table.ts';

/** Byte offsets of a struct's members, and the struct's size under `size`. */
export type StructLayout<M extends Members> = {
  readonly [K in keyof M]: M[K] extends OptionalMember ? number | undefined : number;
} & { readonly size: number };

/** Offsets of every structure that Underwatch reads, in bytes: `layout.vm_area_struct.vm_start`. */
export type KernelLayout = {
  readonly [S in keyof typeof REQUIRED_STRUCTS]: StructLayout<(typeof REQUIRED_STRUCTS)[S]>;
} & {
  readonly [S in keyof typeof OPTIONAL_STRUCTS]: StructLayout<(typeof OPTIONAL_STRUCTS)[S]> | undefined;
} & {
  /** Bytes of `task_struct.comm`, its NUL included. */
  readonly commLength: number;
  /** Slots of a maple node by format, and the values of `enum maple_type`; undefined before 6.1. */
  readonly maple: MapleLayout | undefined;
  /** Whether files of stacked file systems are `struct backing_file`s: since 6.5 (62d53c4a1dfe). */
  readonly hasBackingFiles: boolean;
  /** `enum vsyscall_mode`'s value for "no vsyscall page"; undefined where it is not described. */
  readonly vsyscallNone: number | undefined;
};

/** What the maple tree's types say about its nodes (include/linux/maple_tree.h). */
export interface MapleLayout {
  readonly rangeSlots: number;
  readonly arangeSlots: number;
  readonly dense: number;
  readonly leaf64: number;
  readonly range64: number;
  readonly arange64: number;
}

/** Larger than any struct of the table: `task_struct` is below 16 KiB. */
const MAX_STRUCT_SIZE = 64 * 1024;

/**
 * Looks up every structure of the table. Throws a TargetError that names the struct and the member when one
 * that is needed does not exist or cannot be right.
 */
export function buildLayout(btf: Btf): KernelLayout {
  const known = LAYOUTS.get(btf);
  if (known !== undefined) return known;
  const layout = computeLayout(btf);
  LAYOUTS.set(btf, layout);
  return layout;
}

/** Whoever looks for types builds their layout to judge them; it is not built again. */
const LAYOUTS = new WeakMap<Btf, KernelLayout>();

function computeLayout(btf: Btf): KernelLayout {
  const layout: Record<string, unknown> = {};
  for (const [name, members] of Object.entries<Members>(REQUIRED_STRUCTS))
    layout[name] = buildStruct(btf, name, members);
  for (const [name, members] of Object.entries<Members>(OPTIONAL_STRUCTS))
    layout[name] = hasAll(btf, name, members) ? buildStruct(btf, name, members) : undefined;
  layout.commLength = requiredMember(btf, 'task_struct', { paths: ['comm'], optional: false }).size;
  layout.maple = mapleLayout(btf);
  layout.hasBackingFiles = btf.structTypes('backing_file').length > 0;
  layout.vsyscallNone = btf.enumerationWith('EMULATE')?.get('NONE');
  const complete = layout as KernelLayout;
  requireVmaIndex(complete);
  return complete;
}

function buildStruct(btf: Btf, name: string, members: Members): Record<string, number | undefined> {
  const type = structWith(btf, name, members);
  const size = btf.table.sizeOrType(type);
  if (size > MAX_STRUCT_SIZE) throw new TargetError(`struct ${name} cannot be ${size} bytes long`);
  const built: Record<string, number | undefined> = { size };
  for (const [key, member] of Object.entries(members)) {
    const found = findMember(btf, type, member);
    if (found !== undefined && found.offset + found.size > size)
      throw new TargetError(`member ${key} lies outside struct ${name}`);
    built[key] = found?.offset;
  }
  return built;
}

/** C files have private structs of the same name: takes the first that has all that is required. */
function structWith(btf: Btf, name: string, members: Members): number {
  const candidates = btf.structTypes(name);
  if (candidates.length === 0) throw new TargetError(`the kernel's type information has no struct ${name}`);
  const complete = candidates.find((type) => missing(btf, type, members) === undefined);
  if (complete !== undefined) return complete;
  const lacks = missing(btf, candidates[0] ?? 0, members);
  throw new TargetError(`the kernel's struct ${name} has no member ${lacks}`);
}

function missing(btf: Btf, type: number, members: Members): string | undefined {
  for (const member of Object.values(members))
    if (!member.optional && findMember(btf, type, member) === undefined) return member.paths[0];
  return undefined;
}

function hasAll(btf: Btf, name: string, members: Members): boolean {
  return btf.structTypes(name).some((type) => missing(btf, type, members) === undefined);
}

function findMember(btf: Btf, type: number, member: RequiredMember | OptionalMember): BtfMember | undefined {
  for (const path of member.paths) {
    const found = btf.memberOfType(type, path);
    if (found !== undefined && found.bitFieldWidth === 0) return found;
  }
  return undefined;
}

function requiredMember(btf: Btf, struct: string, member: RequiredMember): BtfMember {
  const found = findMember(btf, structWith(btf, struct, {}), member);
  if (found === undefined)
    throw new TargetError(`the kernel's struct ${struct} has no member ${member.paths[0]}`);
  return found;
}

function mapleLayout(btf: Btf): MapleLayout | undefined {
  const types = btf.enumerationWith('maple_leaf_64');
  const range = btf.member('maple_node', 'mr64.slot');
  const arange = btf.member('maple_node', 'ma64.slot');
  const dense = types?.get('maple_dense');
  const leaf64 = types?.get('maple_leaf_64');
  const range64 = types?.get('maple_range_64');
  const arange64 = types?.get('maple_arange_64');
  if (range === undefined || arange === undefined) return undefined;
  if (dense === undefined || leaf64 === undefined || range64 === undefined || arange64 === undefined)
    return undefined;
  return { rangeSlots: range.size / 8, arangeSlots: arange.size / 8, dense, leaf64, range64, arange64 };
}

/** A kernel keeps its VMAs in a list with a red-black tree, or in a maple tree; one must be there. */
function requireVmaIndex(layout: KernelLayout): void {
  const { mm_struct: mm, vm_area_struct: vma } = layout;
  const tree = mm.mm_rb !== undefined && vma.vm_rb !== undefined;
  const list = mm.mmap !== undefined && vma.vm_next !== undefined && vma.vm_prev !== undefined;
  const maple = mm.mm_mt_root !== undefined && layout.maple_node !== undefined && layout.maple !== undefined;
  if (!maple && !(tree && list))
    throw new TargetError(
      "the kernel's struct mm_struct has neither a maple tree of VMAs nor a list with a red-black tree",
    );
}

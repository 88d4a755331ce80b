import { type Members, OPTIONAL_STRUCTS, REQUIRED_STRUCTS } from '../../src/linux/layout-table.ts';
import { BtfWriter, type WrittenMember } from './btf-writer.ts';

/** What the made-up kernel's types are like. */
export interface KernelTypesOptions {
  /** How VMAs are kept: as up to 6.0, or as since 6.1. */
  readonly vmas?: 'list and red-black tree' | 'maple tree';
  /** Members to leave out: `mm_struct.mmap`. */
  readonly without?: readonly string[];
  /** Structs to leave out. */
  readonly withoutStructs?: readonly string[];
}

/** Members that end a struct's days of one kind of kernel. */
const LIST_ONLY = [
  'mm_struct.mmap',
  'mm_struct.mm_rb',
  'vm_area_struct.vm_next',
  'vm_area_struct.vm_prev',
  'vm_area_struct.vm_rb',
];
const MAPLE_ONLY = ['mm_struct.mm_mt_root'];
/** Sizes in bytes of members that are not one word. */
const SIZES: Readonly<Record<string, number>> = {
  'task_struct.tasks': 16,
  'task_struct.thread_node': 16,
  'task_struct.comm': 16,
  'signal_struct.thread_head': 16,
  'signal_struct.pids': 32,
  'pid.numbers': 64,
  'fs_struct.root': 16,
  'fs_struct.pwd': 16,
  'mount.mnt': 32,
  'mm_struct.mmlist': 16,
  'vm_area_struct.vm_rb': 24,
  'vm_area_struct.shared': 32,
  'anon_vma_name.name': 80,
  'backing_file.file': 64,
};

/**
 * The BTF of a made-up kernel: every struct that Underwatch reads, members one after the other in the order of
 * the table, a gap before each so that no two structs have the same offsets by chance.
 */
export function kernelTypes(options: KernelTypesOptions = {}): Uint8Array {
  const writer = new BtfWriter();
  const maple = options.vmas === 'maple tree';
  const without = new Set([...(options.without ?? []), ...(maple ? LIST_ONLY : MAPLE_ONLY)]);
  const structs = Object.entries<Members>({ ...REQUIRED_STRUCTS, ...OPTIONAL_STRUCTS }).filter(
    ([name]) => !(options.withoutStructs ?? []).includes(name) && (maple || name !== 'maple_node'),
  );
  const byte = writer.int('char', 1);
  const word = writer.int('long unsigned int', 8);
  const types = { byte, word };
  for (const [name, members] of structs)
    if (name === 'maple_node') writeMapleNode(writer, word);
    else writeStruct(writer, types, name, members, without);
  if (maple)
    writer.enumeration('maple_type', {
      maple_dense: 0,
      maple_leaf_64: 1,
      maple_range_64: 2,
      maple_arange_64: 3,
    });
  writer.enumeration('', { EMULATE: 0, XONLY: 1, NONE: 2 });
  return writer.bytes();
}

interface BasicTypes {
  readonly byte: number;
  readonly word: number;
}

function writeStruct(
  writer: BtfWriter,
  types: BasicTypes,
  name: string,
  members: Members,
  without: ReadonlySet<string>,
): void {
  const groups = new Map<string, WrittenMember[]>();
  let at = name === 'list_head' || name === 'rb_node' ? 0 : 8;
  for (const [key, { paths }] of Object.entries(members)) {
    if (without.has(`${name}.${key}`)) continue;
    const [outer = '', inner = ''] = (paths[0] ?? '').split('.');
    const size = SIZES[`${name}.${key}`] ?? 8;
    const type = size === 8 ? types.word : writer.array(types.byte, types.word, size);
    groups.set(outer, [...(groups.get(outer) ?? []), { name: inner, type, at: at * 8 }]);
    at += size;
  }
  const written = [...groups].map(([outer, inner]) => outerMember(writer, outer, inner));
  writer.struct(name, at, written);
}

/** One member, or a struct of the members that share the first step of their paths. */
function outerMember(writer: BtfWriter, name: string, inner: readonly WrittenMember[]): WrittenMember {
  const first = inner[0] ?? { name: '', type: 0, at: 0 };
  if (first.name === '') return { ...first, name };
  const last = inner.at(-1) ?? first;
  const size = (last.at - first.at) / 8 + 8;
  const members = inner.map((member) => ({ ...member, at: member.at - first.at }));
  return { name, type: writer.struct('', size, members), at: first.at };
}

function writeMapleNode(writer: BtfWriter, word: number): void {
  const words = (count: number) => writer.array(word, word, count);
  const member = (name: string, type: number, at: number) => ({ name, type, at: at * 8 });
  const range = writer.struct('maple_range_64', 256, [
    member('parent', word, 0),
    member('pivot', words(15), 8),
    member('slot', words(16), 128),
  ]);
  const allocation = writer.struct('maple_arange_64', 248, [
    member('parent', word, 0),
    member('pivot', words(9), 8),
    member('slot', words(10), 80),
  ]);
  const plain = writer.struct('', 256, [member('parent', word, 0), member('slot', words(31), 8)]);
  const node = writer.union('', 256, [
    member('', plain, 0),
    member('mr64', range, 0),
    member('ma64', allocation, 0),
  ]);
  writer.struct('maple_node', 256, [member('', node, 0)]);
}

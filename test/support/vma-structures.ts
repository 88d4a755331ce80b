import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import type { SyntheticKernel } from './synthetic-kernel.ts';

/** An area that a test makes; in pages. */
export interface WrittenVma {
  readonly startPage: number;
  readonly endPage: number;
}

const PAGE = 4096n;
const LAST_ADDRESS = 2n ** 64n - 1n;

/** An address space with these areas (ascending, not overlapping), in every structure that the kernel's types have. */
export function writeAddressSpace(
  kernel: SyntheticKernel,
  areas: readonly WrittenVma[],
): WrittenAddressSpace {
  const { mm_struct: mmLayout } = kernel.layout;
  const mm = kernel.allocate(mmLayout.size);
  kernel.put(mm, mmLayout.mm_users, 1n);
  const vmas = areas.map((area) => writeVma(kernel, mm, area));
  if (mmLayout.mmap !== undefined) linkList(kernel, mm, vmas);
  if (mmLayout.mm_rb !== undefined) kernel.put(mm, mmLayout.mm_rb, linkTree(kernel, vmas));
  const nodes: GuestVirtualAddress[] = [];
  if (mmLayout.mm_mt_root !== undefined)
    kernel.put(mm, mmLayout.mm_mt_root, new MapleWriter(kernel, nodes).tree(areas, vmas));
  return { mm, vmas, nodes };
}

/** Where the structures of an address space are. */
export interface WrittenAddressSpace {
  readonly mm: GuestVirtualAddress;
  readonly vmas: readonly GuestVirtualAddress[];
  /** Of a maple tree, leaves first. */
  readonly nodes: readonly GuestVirtualAddress[];
}

function writeVma(kernel: SyntheticKernel, mm: GuestVirtualAddress, area: WrittenVma): GuestVirtualAddress {
  const { vm_area_struct: layout } = kernel.layout;
  const vma = kernel.allocate(layout.size);
  kernel.put(vma, layout.vm_start, BigInt(area.startPage) * PAGE);
  kernel.put(vma, layout.vm_end, BigInt(area.endPage) * PAGE);
  kernel.put(vma, layout.vm_mm, mm);
  kernel.put(vma, layout.vm_flags, 0x8000_0000_0000_0073n);
  kernel.put(vma, layout.vm_page_prot, 0x8000_0000_0000_0025n);
  return vma;
}

function linkList(
  kernel: SyntheticKernel,
  mm: GuestVirtualAddress,
  vmas: readonly GuestVirtualAddress[],
): void {
  const { mm_struct, vm_area_struct: layout } = kernel.layout;
  kernel.put(mm, mm_struct.mmap, vmas[0] ?? 0n);
  vmas.forEach((vma, index) => {
    kernel.put(vma, layout.vm_next, vmas[index + 1] ?? 0n);
    kernel.put(vma, layout.vm_prev, vmas[index - 1] ?? 0n);
  });
}

/** Links a balanced tree; the address of its root's `rb_node`, 0 for none. */
function linkTree(kernel: SyntheticKernel, vmas: readonly GuestVirtualAddress[]): bigint {
  const { vm_area_struct: layout, rb_node } = kernel.layout;
  const middle = vmas.length >> 1;
  const vma = vmas[middle];
  if (vma === undefined || layout.vm_rb === undefined) return 0n;
  kernel.put(vma, layout.vm_rb + rb_node.rb_left, linkTree(kernel, vmas.slice(0, middle)));
  kernel.put(vma, layout.vm_rb + rb_node.rb_right, linkTree(kernel, vmas.slice(middle + 1)));
  return vma + BigInt(layout.vm_rb);
}

/** An entry of a maple node: what the addresses up to and including `last` lead to. */
interface MapleEntry {
  readonly last: bigint;
  readonly value: bigint;
}

const LEAF = 1n;
const RANGE = 2n;
const ALLOCATION = 3n;

/** Writes maple trees (lib/maple_tree.c) whose nodes are filled differently, with stale slots behind their ends. */
class MapleWriter {
  readonly #kernel: SyntheticKernel;
  readonly #nodes: GuestVirtualAddress[];

  constructor(kernel: SyntheticKernel, nodes: GuestVirtualAddress[]) {
    this.#kernel = kernel;
    this.#nodes = nodes;
  }

  tree(areas: readonly WrittenVma[], vmas: readonly GuestVirtualAddress[]): bigint {
    if (areas.length === 0) return 0n;
    let level = this.#level(leafEntries(areas, vmas), LEAF, [16, 9, 13]);
    for (let height = 0; level.length > 1; height++)
      level = this.#level(level, height % 2 === 0 ? ALLOCATION : RANGE, height % 2 === 0 ? [10, 5] : [16, 8]);
    return (level[0]?.value ?? 0n) | 2n;
  }

  #level(entries: readonly MapleEntry[], type: bigint, sizes: readonly number[]): MapleEntry[] {
    const nodes: MapleEntry[] = [];
    for (let at = 0; at < entries.length; ) {
      const part = entries.slice(at, at + (sizes[nodes.length % sizes.length] ?? 1));
      at += part.length;
      nodes.push(this.#node(part, type, at === entries.length));
    }
    return nodes;
  }

  #node(entries: readonly MapleEntry[], type: bigint, isLast: boolean): MapleEntry {
    const kernel = this.#kernel;
    const layout = kernel.layout.maple_node;
    if (layout === undefined) throw new RangeError('the made-up kernel has no maple trees');
    const node = kernel.allocate(256, 256);
    this.#nodes.push(node);
    const allocation = type === ALLOCATION;
    const [pivots, slots, count] = allocation
      ? [layout.arange_pivots, layout.arange_slots, 10]
      : [layout.range_pivots, layout.range_slots, 16];
    entries.forEach(({ last, value }, index) => {
      // The node that ends the tree leaves its last pivot 0, as the kernel may, unless it is the only one.
      const pivot = isLast && index > 0 && index === entries.length - 1 ? 0n : last;
      if (index < count - 1) kernel.put(node, pivots + 8 * index, pivot);
      kernel.put(node, slots + 8 * index, value);
    });
    for (let stale = entries.length; stale < count; stale++) kernel.put(node, slots + 8 * stale, 0xdeadn);
    return { last: entries.at(-1)?.last ?? 0n, value: node | (type << 3n) | 4n };
  }
}

function leafEntries(areas: readonly WrittenVma[], vmas: readonly GuestVirtualAddress[]): MapleEntry[] {
  const entries: MapleEntry[] = [];
  let next = 0;
  areas.forEach((area, index) => {
    if (area.startPage > next) entries.push({ last: BigInt(area.startPage) * PAGE - 1n, value: 0n });
    entries.push({ last: BigInt(area.endPage) * PAGE - 1n, value: vmas[index] ?? 0n });
    next = area.endPage;
  });
  entries.push({ last: LAST_ADDRESS, value: 0n });
  return entries;
}

/** Any number of areas, some side by side, from page 1 up to the end of a 57-bit address space. */
export function areasOf(gapsAndSizes: readonly (readonly [number, number])[]): WrittenVma[] {
  const areas: WrittenVma[] = [];
  let page = 1;
  for (const [gap, size] of gapsAndSizes) {
    const startPage = page + gap;
    page = startPage + size;
    if (page > 2 ** 44) break;
    areas.push({ startPage, endPage: page });
  }
  return areas;
}

/** The address of a page. */
export function addressOf(page: number): GuestVirtualAddress {
  return gva(BigInt(page) * PAGE);
}

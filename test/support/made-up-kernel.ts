import type { VcpuState } from '../../src/machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';
import { Registers } from '../../src/x86/registers.ts';
import {
  type WrittenLayout,
  type WrittenSymbol,
  type WrittenTable,
  writeKallsyms,
} from './kallsyms-writer.ts';

/** How the symbol tables of real kernels are laid out, and two that only their configuration allows. */
export const LAYOUTS: Readonly<Record<string, WrittenLayout>> = {
  '5.10': { order: 'before', addressing: 'per-cpu', sequences: 'none', alignment: 8 },
  '6.1': { order: 'before', addressing: 'per-cpu', sequences: 'before tokens', alignment: 8 },
  '6.12': { order: 'behind', addressing: 'per-cpu', sequences: 'end', alignment: 8 },
  '7.2': { order: 'behind', addressing: 'self', sequences: 'end', alignment: 4 },
  'without KALLSYMS_ABSOLUTE_PERCPU': {
    order: 'before',
    addressing: 'base',
    sequences: 'none',
    alignment: 8,
  },
  'without KALLSYMS_BASE_RELATIVE': { order: 'before', addressing: 'whole', sequences: 'none', alignment: 8 },
};

export const BANNER = 'Linux version 6.9.42-test (builder@host) (gcc) #7 SMP';
export const IMAGE_SIZE = 8 * 1024 * 1024;
const BANNER_AT = 0x20_0000;
/** Not aligned to the scanner's stride on purpose. */
const KALLSYMS_AT = 0x30_0108;
const ROOT_AT = 0x40_0000;
const USER_ROOT_AT = 0x40_1000;
const UPPER_AT = 0x40_2000;
const IMAGE_DIRECTORY_AT = 0x40_3000;
const DIRECT_MAP_AT = 0x40_4000;
const EXTRA_LEVEL_AT = 0x40_5000;
const IDT_AT = 0x40_6000;
const ENTRY_DIRECTORY_AT = 0x40_7000;
const ENTRY_PAGES_AT = 0x40_8000;
const USER_UPPER_AT = 0x40_a000;
const DIRECT_MAP_LOWER_AT = 0x40_b000;
const USER_EXTRA_LEVEL_AT = 0x40_c000;
const PAGE_OFFSET_BASE_AT = 0x50_0000;
const TABLE = 0x63n;
const LARGE_PAGE = 0xe3n;

/** What a made-up kernel is like. */
export interface MadeUpOptions {
  readonly layout: WrittenLayout;
  readonly levels?: 4 | 5;
  /** Where `_text` lies in RAM; aligned to 2 MiB. */
  readonly physical?: number;
  /** Its run-time address. */
  readonly virtual?: bigint;
  readonly memory?: SparseMemory;
  /** `system_state`: 0 while it boots. */
  readonly systemState?: bigint;
  /** Symbols to leave out. */
  readonly without?: readonly string[];
}

/** A kernel image with page tables and symbols, and nothing else in it. */
export interface MadeUpKernel {
  readonly memory: SparseMemory;
  readonly physical: number;
  readonly virtual: bigint;
  readonly root: number;
  readonly directMap: GuestVirtualAddress;
  readonly symbols: readonly WrittenSymbol[];
  readonly table: WrittenTable;
  /** Guest-physical address of the symbol table. */
  readonly tableAddress: number;
  /** A vCPU in kernel mode, or in user mode under KPTI. */
  vcpu(mode: 'kernel' | 'user under KPTI'): VcpuState;
}

/** Makes a kernel in memory: 8 MiB, mapped by large pages, with direct map, IDT and both roots of KPTI. */
export function makeKernel(options: MadeUpOptions): MadeUpKernel {
  const { layout, levels = 4, physical = 0x0120_0000, virtual = 0xffff_ffff_9a20_0000n } = options;
  const memory = options.memory ?? new SparseMemory();
  memory.map(physical, IMAGE_SIZE);
  const directMap = levels === 5 ? gva(0xff2b_0fa4_0000_0000n) : gva(0xffff_8d12_c000_0000n);
  const symbols = makeSymbols(layout, virtual).filter(({ name }) => !options.without?.includes(name));
  const table = writeKallsyms(layout, symbols, virtual, virtual + BigInt(KALLSYMS_AT));
  memory.place(physical + BANNER_AT, Buffer.from(`${BANNER}\n\0`));
  memory.place(physical + KALLSYMS_AT, table.bytes);
  memory.place64(physical + PAGE_OFFSET_BASE_AT, directMap);
  memory.place64(physical + PAGE_OFFSET_BASE_AT + 8, options.systemState ?? 3n);
  placeTables(memory, physical, virtual, directMap, levels);
  const vcpu = (mode: 'kernel' | 'user under KPTI'): VcpuState => {
    const registers = new Registers();
    registers.set('efer', 0xd01n);
    registers.set('cr4', levels === 5 ? 0x1000n : 0n);
    registers.set('cr3', BigInt(physical + (mode === 'kernel' ? ROOT_AT : USER_ROOT_AT)) | 0x803n);
    return { registers, idtBase: gva(virtual + BigInt(IDT_AT)) };
  };
  return {
    memory,
    physical,
    virtual,
    root: physical + ROOT_AT,
    directMap,
    symbols,
    table,
    tableAddress: physical + KALLSYMS_AT,
    vcpu,
  };
}

function makeSymbols(layout: WrittenLayout, virtual: bigint): WrittenSymbol[] {
  const at = (offset: number) => virtual + BigInt(offset);
  const symbols: WrittenSymbol[] = [
    { address: at(0), type: 'T', name: '_text' },
    { address: at(0), type: 'T', name: '_stext' },
    { address: at(BANNER_AT), type: 'D', name: 'linux_banner' },
    { address: at(ROOT_AT), type: 'D', name: 'init_top_pgt' },
    { address: at(PAGE_OFFSET_BASE_AT), type: 'D', name: 'page_offset_base' },
    { address: at(PAGE_OFFSET_BASE_AT + 8), type: 'D', name: 'system_state' },
    { address: at(IMAGE_SIZE), type: 'B', name: '_end' },
    { address: at(0x10_0000), type: 't', name: `_RNvXs_${'very_'.repeat(60)}long` },
    { address: at(0x10_1000), type: 't', name: 'twice' },
    { address: at(0x10_2000), type: 't', name: 'twice' },
  ];
  for (let index = 0; index < 1500; index++) {
    const name = `${['do_', 'sys_', 'vma_', 'x'][index % 4]}function_${index}`;
    symbols.push({ address: at(0x1000 + index * 64), type: index % 3 === 0 ? 'T' : 't', name });
  }
  if (layout.addressing === 'per-cpu') {
    symbols.push({ address: 0n, type: 'A', name: '__per_cpu_start' });
    symbols.push({ address: 0x1_fbc0n, type: 'A', name: 'current_task' });
  }
  return symbols.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}

function placeTables(
  memory: SparseMemory,
  physical: number,
  virtual: bigint,
  directMap: bigint,
  levels: 4 | 5,
): void {
  const put = (table: number, index: number, target: number, bits: bigint) =>
    memory.place64(physical + table + index * 8, BigInt(target) | bits);
  const link = (table: number, index: number, target: number) => put(table, index, physical + target, TABLE);
  const top = levels === 5 ? EXTRA_LEVEL_AT : ROOT_AT;
  if (levels === 5) link(ROOT_AT, 511, EXTRA_LEVEL_AT);
  link(top, 511, UPPER_AT);
  link(UPPER_AT, 510, IMAGE_DIRECTORY_AT);
  const first = Number((virtual >> 21n) & 0x1ffn);
  for (let page = 0; page < IMAGE_SIZE / 0x20_0000; page++) {
    put(IMAGE_DIRECTORY_AT, first + page, physical + page * 0x20_0000, LARGE_PAGE);
  }
  link(ROOT_AT, Number((directMap >> (levels === 5 ? 48n : 39n)) & 0x1ffn), DIRECT_MAP_AT);
  placeDirectMap(memory, physical, directMap, levels);
  placeUserRoot(memory, physical, virtual, levels);
}

/** The first 4 GiB, by pages of 1 GiB. */
function placeDirectMap(memory: SparseMemory, physical: number, directMap: bigint, levels: 4 | 5): void {
  let table = physical + DIRECT_MAP_AT;
  if (levels === 5) {
    const next = physical + DIRECT_MAP_LOWER_AT;
    memory.place64(table + Number((directMap >> 39n) & 0x1ffn) * 8, BigInt(next) | TABLE);
    table = next;
  }
  const first = Number((directMap >> 30n) & 0x1ffn);
  for (let page = 0; page < 4 && first + page < 512; page++) {
    memory.place64(table + (first + page) * 8, (BigInt(page) << 30n) | LARGE_PAGE);
  }
}

/** The root of user mode under KPTI: it maps one page of entry code and the IDT, and not the rest. */
function placeUserRoot(memory: SparseMemory, physical: number, virtual: bigint, levels: 4 | 5): void {
  const link = (table: number, index: number, target: number) =>
    memory.place64(physical + table + index * 8, BigInt(physical + target) | TABLE);
  const above = levels === 5 ? USER_EXTRA_LEVEL_AT : USER_ROOT_AT;
  if (levels === 5) link(USER_ROOT_AT, 511, above);
  link(above, 511, USER_UPPER_AT);
  link(USER_UPPER_AT, 510, ENTRY_DIRECTORY_AT);
  link(ENTRY_DIRECTORY_AT, Number(((virtual + BigInt(IDT_AT)) >> 21n) & 0x1ffn), ENTRY_PAGES_AT);
  link(ENTRY_PAGES_AT, (IDT_AT >> 12) & 0x1ff, IDT_AT);
  const handler = virtual + 0x1000n;
  memory.place64(
    physical + IDT_AT + 14 * 16,
    (handler & 0xffffn) | ((handler & 0xffff_0000n) << 32n) | (0x8e00n << 32n),
  );
  memory.place64(physical + IDT_AT + 14 * 16 + 8, handler >> 32n);
}

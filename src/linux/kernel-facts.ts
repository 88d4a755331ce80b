import { UnderwatchError } from '../errors.ts';
import { type GuestVirtualAddress, gva, highWord, lowWord } from '../memory/address.ts';
import type { PhysicalRange } from '../memory/physical-memory.ts';
import { PAGE_SIZE, PageTables, type PagingLevels } from '../x86/page-tables.ts';
import type { Kernel } from './kernel.ts';
import { guestClocks } from './timekeeping.ts';
import { readVmcoreinfo } from './vmcoreinfo.ts';

/** Where `_text` is linked on x86-64 (CONFIG_PHYSICAL_START at its default, above `__START_KERNEL_map`). */
const LINKED_TEXT = 0xffff_ffff_8100_0000n;
/** The read-only IDT at the start of the CPU entry area: what user mode's page tables must map under KPTI. */
const CPU_ENTRY_AREA = gva(0xffff_fe00_0000_0000n);
const MAX_HOST_NAME = 65;

/** What `underwatch info` prints about a kernel. What could not be read is undefined. */
export interface KernelFacts {
  readonly banner: string;
  readonly release: string;
  /** `#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)`. */
  readonly build: string;
  /** The linker's build id, in hexadecimal: names the very build. */
  readonly buildId: string | undefined;
  /** Run-time address of `_text`, where it lies in RAM, and how far KASLR moved it. */
  readonly textBase: GuestVirtualAddress;
  readonly textPhysical: number;
  readonly kaslrSlide: bigint;
  readonly rootTable: number;
  readonly pagingLevels: PagingLevels;
  /** Kernel page-table isolation: user mode runs on tables of its own. */
  readonly kpti: boolean;
  readonly directMapBase: GuestVirtualAddress | undefined;
  readonly symbolCount: number;
  readonly symbolLayout: string;
  readonly typeBytes: number | undefined;
  readonly typeCount: number;
  readonly hostName: string | undefined;
  /** As `/proc/sys/kernel/random/boot_id` gives it; undefined until somebody in the guest has asked for it. */
  readonly bootId: string | undefined;
  readonly onlineCpus: number | undefined;
  /** Seconds, as of when the guest last looked at its clocks. */
  readonly uptime: number | undefined;
  /** Milliseconds since 1970, likewise. */
  readonly guestTime: number | undefined;
  readonly memoryBytes: number;
  readonly memoryRanges: readonly PhysicalRange[];
}

/** Gathers what `info` prints; reads the guest, and leaves out what it cannot read. */
export function kernelFacts(kernel: Kernel): KernelFacts {
  const { memory, symbols, types } = kernel;
  const clocks = guestClocks(memory, symbols, types);
  return {
    banner: kernel.banner,
    release: kernel.release,
    build: buildOf(kernel.banner),
    buildId: readVmcoreinfo(memory, symbols).get('BUILD-ID'),
    textBase: kernel.textBase,
    textPhysical: memory.image.physicalStart,
    kaslrSlide: kernel.textBase - LINKED_TEXT,
    rootTable: memory.pageTables.root,
    pagingLevels: memory.pageTables.levels,
    kpti: hasIsolation(memory.pageTables),
    directMapBase: memory.directMap?.virtualStart,
    symbolCount: symbols.count,
    symbolLayout: symbols.layout,
    typeBytes: typeBytes(kernel),
    typeCount: types.typeCount,
    hostName: readable(() => hostName(kernel)),
    bootId: readable(() => bootId(kernel)),
    onlineCpus: readable(() => onlineCpus(kernel)),
    uptime: clocks?.uptime,
    guestTime: clocks === undefined ? undefined : clocks.wall * 1000,
    memoryBytes: memory.physical.ranges.reduce((sum, { size }) => sum + size, 0),
    memoryRanges: memory.physical.ranges.map(({ start, size }) => ({ start, size })),
  };
}

/**
 * Whether kernel page-table isolation is on: then user mode's root, the page behind the kernel's own, maps
 * the CPU entry area (`pti_clone_user_shared`, `arch/x86/mm/pti.c`); without it that page is no such table.
 */
function hasIsolation(kernelTables: PageTables): boolean {
  const { memory, root, levels } = kernelTables;
  const userTables = new PageTables(memory, root + PAGE_SIZE, levels);
  const entryArea = userTables.translate(highWord(CPU_ENTRY_AREA), lowWord(CPU_ENTRY_AREA));
  return (
    entryArea >= 0 && entryArea === kernelTables.translate(highWord(CPU_ENTRY_AREA), lowWord(CPU_ENTRY_AREA))
  );
}

/** What follows the two pairs of brackets in a banner; empty where there is no `#`. */
function buildOf(banner: string): string {
  const at = banner.indexOf('#');
  return at < 0 ? '' : banner.slice(at);
}

function typeBytes({ symbols }: Kernel): number | undefined {
  const start = symbols.find('__start_BTF');
  const stop = symbols.find('__stop_BTF');
  return start === undefined || stop === undefined ? undefined : Number(stop - start);
}

function hostName({ memory, symbols, types }: Kernel): string | undefined {
  const offset = types.member('uts_namespace', 'name.nodename')?.offset;
  const namespace = symbols.find('init_uts_ns');
  if (offset === undefined || namespace === undefined) return undefined;
  return memory.readCString(gva(namespace + BigInt(offset)), MAX_HOST_NAME);
}

function bootId({ memory, symbols }: Kernel): string | undefined {
  const address = symbols.find('sysctl_bootid');
  if (address === undefined) return undefined;
  const bytes = Buffer.from(memory.readBytes(address, 16));
  if (bytes[8] === 0) return undefined;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function onlineCpus({ memory, symbols }: Kernel): number | undefined {
  const address = symbols.find('__num_online_cpus');
  return address === undefined ? undefined : memory.readU32(address);
}

function readable<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnderwatchError && error.code === 'unreadable') return undefined;
    throw error;
  }
}

import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import { type GuestVirtualAddress, gva, highWord, lowWord } from '../../memory/address.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import { PageWalk } from '../../x86/page-walk.ts';
import { CALL_STUB_SIZE } from './guest-call.ts';

/** What the linker fills gaps in text with: int3. */
export const PADDING = 0xcc;
/** Two pages of data, at least two of code. */
const MIN_PAGES = 4;
/** No more is claimed of a gap, and no more looked at. */
const MAX_PAGES = 6;
/** `.entry.text` is aligned to large pages at both ends (`ALIGN_ENTRY_TEXT_BEGIN`, arch/x86/kernel/vmlinux.lds.S). */
const LARGE_PAGE = 0x20_0000n;
const MAX_TEXT = 64 * 1024 * 1024;

/** What is needed of a kernel. */
interface TextOwner extends Pick<Kernel, 'memory'> {
  readonly symbols: Pick<Kernel['symbols'], 'find' | 'require' | 'nearest'>;
}

/** Pages in the kernel's text that nothing uses: readable and executable for the guest, not writable. */
export interface Gap {
  readonly start: GuestVirtualAddress;
  /** Guest-physical address of the same; the pages follow one another. */
  readonly physical: number;
  /** In bytes, whole pages. */
  readonly size: number;
}

/**
 * Finds a gap between sections of the kernel's text for stubs: pages that are all padding, hold no symbol, and are
 * mapped for execution only. Gaps outside the large page of the entry code come first, as under KPTI that page is
 * also mapped while user mode runs; then longer ones.
 * @throws TargetError where there is none
 */
export function findGap(kernel: TextOwner): Gap {
  const start = roundUp(kernel.symbols.require('_stext'));
  const end = kernel.symbols.require('_etext');
  const length = Number(end - start);
  if (length <= 0 || length > MAX_TEXT)
    throw new TargetError("the bounds of the kernel's text are not understood");
  const pages = paddingPages(kernel.memory.readBytes(gva(start), length));
  const entry = kernel.symbols.find('__entry_text_start') ?? 0n;
  const candidates = runs(pages)
    .filter((run) => run.count >= MIN_PAGES)
    .map((run) => ({ ...run, address: gva(start + BigInt(run.first * PAGE_SIZE)) }))
    .sort((a, b) => Number(isNear(a.address, entry)) - Number(isNear(b.address, entry)) || b.count - a.count);
  for (const { address, count } of candidates) {
    const gap = usable(kernel, address, Math.min(count, MAX_PAGES));
    if (gap !== undefined) return gap;
  }
  throw new TargetError("the kernel's text has no gap between its sections that stubs could lie in");
}

/** One flag a page: it is all padding. */
function paddingPages(text: Uint8Array): boolean[] {
  const page = Buffer.alloc(PAGE_SIZE, PADDING);
  const flags: boolean[] = [];
  for (let at = 0; at + PAGE_SIZE <= text.length; at += PAGE_SIZE)
    flags.push(page.equals(text.subarray(at, at + PAGE_SIZE)));
  return flags;
}

/** Runs of set flags. */
function runs(flags: readonly boolean[]): { first: number; count: number }[] {
  const found: { first: number; count: number }[] = [];
  for (const [index, flag] of flags.entries()) {
    const last = found.at(-1);
    if (!flag) continue;
    if (last !== undefined && last.first + last.count === index) last.count++;
    else found.push({ first: index, count: 1 });
  }
  return found;
}

function isNear(address: bigint, entry: bigint): boolean {
  return address / LARGE_PAGE === entry / LARGE_PAGE;
}

function roundUp(address: bigint): bigint {
  const page = BigInt(PAGE_SIZE);
  return ((address + page - 1n) / page) * page;
}

/** The gap, where no symbol lies in it and all of it is mapped as text. */
function usable(kernel: TextOwner, start: GuestVirtualAddress, pages: number): Gap | undefined {
  const size = pages * PAGE_SIZE;
  const last = kernel.symbols.nearest(gva(start + BigInt(size - 1)));
  if (last !== undefined && last.address >= start) return undefined;
  const physical = kernel.memory.locateAddress(start);
  const walk = new PageWalk();
  for (let offset = 0; offset < size; offset += PAGE_SIZE) {
    const address = start + BigInt(offset);
    kernel.memory.pageTables.walk(highWord(address), lowWord(address), walk);
    const isText = walk.outcome === 'mapped' && !walk.noExecute && !walk.writable;
    if (!isText || walk.physical !== physical + offset) return undefined;
  }
  return { start, physical, size };
}

/** Where in a gap the code for single calls of kernel functions lies: at its end. */
export function callPlace({ start, size }: Pick<Gap, 'start' | 'size'>): GuestVirtualAddress {
  return gva(start + BigInt(size - CALL_STUB_SIZE));
}

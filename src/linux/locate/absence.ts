import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { readLeniently } from '../../memory/read-leniently.ts';
import { BANNER_START, readBanner, releaseOf } from '../banner.ts';
import type { Rejection } from './identify.ts';

/** Searched at a time. */
const CHUNK = 1024 * 1024;

/** One sentence that says why no kernel was found; searches all of memory for a banner. */
export function describeAbsence(memory: PhysicalMemory, rejection: Rejection | undefined): string {
  const banner = searchBanner(memory);
  const mebibytes = Math.round(memory.ranges.reduce((sum, { size }) => sum + size, 0) / (1024 * 1024));
  if (banner === undefined) return `no Linux kernel found in ${mebibytes} MiB of memory`;
  const kernel = `Linux ${releaseOf(banner)}`;
  switch (rejection) {
    case undefined:
      return `${kernel} is in memory, but no page tables map it: it is still booting, or no longer runs`;
    case 'functions-only':
      return `the symbol table of ${kernel} leaves out data (CONFIG_KALLSYMS_ALL is off), so its structures cannot be found`;
    case 'no-symbols':
      return `${kernel} has no symbol table that can be read: CONFIG_KALLSYMS is off, or it is still booting`;
    case 'no-page-tables':
      return `${kernel} has no page tables of its own yet: it is still booting`;
  }
}

/** The first banner in memory. */
function searchBanner(memory: PhysicalMemory): string | undefined {
  const chunk = Buffer.alloc(CHUNK);
  for (const { start, size } of memory.ranges) {
    for (let at = start as number; at < start + size; at += CHUNK - BANNER_START.length) {
      const piece = chunk.subarray(0, Math.min(CHUNK, start + size - at));
      readLeniently(memory, at, piece);
      for (let hit = piece.indexOf(BANNER_START); hit >= 0; hit = piece.indexOf(BANNER_START, hit + 1)) {
        const banner = readBanner(memory, at + hit);
        if (banner !== undefined) return banner;
      }
    }
  }
  return undefined;
}

import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { readLeniently } from '../../memory/read-leniently.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import { PTE_ACCESSED, PTE_LARGE, PTE_PRESENT, PTE_WRITABLE } from '../../x86/pte.ts';
import { identifyKernel, type LocatedKernel, type Rejection } from './identify.ts';
import { imageDirectory, imageMapping } from './image-mapping.ts';

/** The place in a top-level table of the entry for the kernel image: the last one. */
const LAST_ENTRY = PAGE_SIZE - 8;
/** The bits which that entry has, and the one that it has not. */
const ENTRY_BITS = PTE_PRESENT | PTE_WRITABLE | PTE_ACCESSED;
const ENTRY_MASK = ENTRY_BITS | PTE_LARGE;
/** Read at a time; small enough to stay in the CPU's cache. */
const CHUNK_BYTES = 256 * 1024;
/** No kernel's image is smaller: the smallest configurations have about 8 MiB. */
const MIN_IMAGE = 4 * 1024 * 1024;
/** Page directories and images that are looked into: there is one of each, and memory may be full of made-up ones. */
const MAX_DIRECTORIES = 4096;
const MAX_IMAGES = 16;

/**
 * Finds every kernel in guest-physical memory with nothing else known, in the order of where their page
 * tables lie: any page that maps the upper 2 GiB as a top-level table does leads to an image, which is then
 * judged by its symbols. With 5 levels the same pages are found one level lower. After a reboot that left
 * RAM as it was, or a kexec, there may be more than one.
 */
export function* locateByMemory(memory: PhysicalMemory): Generator<LocatedKernel | Rejection> {
  const images = new Set<number>();
  for (const directory of imageDirectories(memory)) {
    const image = imageMapping(memory, directory);
    if (image === undefined || image.size < MIN_IMAGE || images.has(image.physicalStart)) continue;
    images.add(image.physicalStart);
    yield identifyKernel(memory, image);
    if (images.size === MAX_IMAGES) return;
  }
}

/** The page directories of kernel images that the tables in memory lead to, each once. */
function* imageDirectories(memory: PhysicalMemory): Generator<number> {
  const seen = new Set<number>();
  for (const page of likelyRootTables(memory)) {
    const directory = imageDirectory(memory, page, 4);
    if (directory < 0 || seen.has(directory)) continue;
    seen.add(directory);
    yield directory;
    if (seen.size === MAX_DIRECTORIES) return;
  }
}

/** Every page whose last entry is as a root table's; holes of the memory's file hold none and are not read. */
function* likelyRootTables(memory: PhysicalMemory): Generator<number> {
  const chunk = new Uint32Array(CHUNK_BYTES / 4);
  const bytes = new Uint8Array(chunk.buffer);
  for (const { start, size } of memory.populated ?? memory.ranges) {
    const end = Math.floor((start + size) / PAGE_SIZE) * PAGE_SIZE;
    for (let at = Math.ceil(start / PAGE_SIZE) * PAGE_SIZE; at < end; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, end - at);
      readLeniently(memory, at, bytes.subarray(0, length));
      for (let page = 0; page < length; page += PAGE_SIZE) {
        const entry = chunk[(page + LAST_ENTRY) / 4] ?? 0;
        if ((entry & ENTRY_MASK) === ENTRY_BITS) yield at + page;
      }
    }
  }
}

import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import { PTE_ACCESSED, PTE_LARGE, PTE_PRESENT, PTE_WRITABLE } from '../../x86/pte.ts';
import { identifyKernel, type LocatedKernel, type Rejection } from './identify.ts';
import { imageDirectory, imageMapping } from './image-mapping.ts';

/** The place in a top-level table of the entry for the kernel image: the last one. */
const LAST_ENTRY = PAGE_SIZE - 8;
/** The bits which that entry has, and the one that it has not. */
const ENTRY_BITS = PTE_PRESENT | PTE_WRITABLE | PTE_ACCESSED;
const ENTRY_MASK = ENTRY_BITS | PTE_LARGE;
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
  for (const { start, size } of memory.ranges) {
    const end = start + size - PAGE_SIZE;
    for (let page = Math.ceil(start / PAGE_SIZE) * PAGE_SIZE; page <= end; page += PAGE_SIZE) {
      if ((memory.u32(page + LAST_ENTRY) & ENTRY_MASK) !== ENTRY_BITS) continue;
      const directory = imageDirectory(memory, page, 4);
      if (directory < 0 || seen.has(directory)) continue;
      seen.add(directory);
      yield directory;
      if (seen.size === MAX_DIRECTORIES) return;
    }
  }
}

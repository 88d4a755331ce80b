import { existsSync } from 'node:fs';
import { UsageError } from './errors.ts';
import { type FindOptions, findKernel } from './linux/find-kernel.ts';
import type { Kernel } from './linux/kernel.ts';
import { endOfRam } from './linux/ram-end.ts';
import type { Image } from './machine/image/image.ts';
import { openImage } from './machine/image/open.ts';
import { RAM_LAYOUTS, type RamLayout, ramRanges } from './machine/image/ram-layout.ts';
import type { OpenOptions } from './target.ts';

/** What the kernel gives as the end of RAM may lie so far before the end of the file: firmware keeps a little. */
const TOLERANCE = 16 * 2 ** 20;

/** An image and the kernel in it. */
interface FoundImage {
  readonly image: Image;
  readonly kernel: Kernel;
}

/** Opens an image; where it has no headers, laid out as told. Throws a UsageError where there is no such file. */
export function openImageFile(path: string, layout?: RamLayout): Image {
  if (!existsSync(path)) throw new UsageError(`there is no image ${path}`);
  const image = openImage(path);
  if (layout === undefined) return image;
  if (!isRaw(image)) {
    void image[Symbol.asyncDispose]();
    throw new UsageError(`${path} says itself how its memory is laid out (${image.format})`);
  }
  const ranges = ramRanges(layout, sizeOf(image));
  void image[Symbol.asyncDispose]();
  return openImage(path, { ranges });
}

/**
 * Opens an image and finds the kernel in it. A file without headers may be RAM that the machine had split around the
 * hole below 4 GiB; the kernel knows where its RAM ends, and by that the layout is told, unless it is given.
 */
export async function openImageTarget(path: string, options: OpenOptions): Promise<FoundImage> {
  const image = openImageFile(path, options.ramLayout);
  try {
    if (options.ramLayout !== undefined || !isRaw(image) || !isSplitAtAll(sizeOf(image)))
      return withShortageNote({ image, kernel: findKernel(image.memory, knownOf(image, options)) });
  } catch (error) {
    await image[Symbol.asyncDispose]();
    throw error;
  }
  return chooseLayout(path, image, options);
}

/**
 * The layout whose end is where the kernel that is found in it has the end of its RAM; the flat one is tried first.
 * Where none agrees (a file that was cut short), the first in which a kernel is found.
 */
async function chooseLayout(path: string, flat: Image, options: OpenOptions): Promise<FoundImage> {
  let fallback: FoundImage | undefined;
  let failure: unknown;
  for (const layout of [undefined, ...RAM_LAYOUTS]) {
    const image = layout === undefined ? flat : openImageFile(path, layout);
    let found: FoundImage | undefined;
    try {
      found = { image, kernel: findKernel(image.memory, knownOf(image, options)) };
    } catch (error) {
      failure ??= error;
    }
    if (found !== undefined && shortage(found) === 0) {
      await fallback?.image[Symbol.asyncDispose]();
      return withLayoutNote(found, layout);
    }
    if (fallback === undefined && found !== undefined) fallback = found;
    else await image[Symbol.asyncDispose]();
  }
  if (fallback === undefined) throw failure;
  return withShortageNote(fallback);
}

/** By how many bytes the end of RAM, as the kernel has it, lies beyond the end of the image, or before it. */
function shortage({ kernel, image }: FoundImage): number {
  const end = endOfRam(kernel);
  const last = image.memory.ranges.at(-1);
  if (end === undefined || last === undefined) return 0;
  const difference = end - (last.start + last.size);
  return Math.abs(difference) <= TOLERANCE ? 0 : difference;
}

function withLayoutNote(found: FoundImage, layout: RamLayout | undefined): FoundImage {
  if (layout === undefined) return found;
  return withNote(
    found,
    `RAM is taken to be split around the hole below 4 GiB as on QEMU's ${layout} machine`,
  );
}

/** Says that a raw image ends before RAM does: what is missing can only be told by its kernel. */
function withShortageNote(found: FoundImage): FoundImage {
  const missing = shortage(found);
  if (!isRaw(found.image) || missing <= 0) return found;
  const mebibytes = Math.ceil(missing / 2 ** 20);
  return withNote(
    found,
    `the last ${mebibytes} MiB of the kernel's memory are not in the file, or it is laid out otherwise`,
  );
}

function withNote({ image, kernel }: FoundImage, note: string): FoundImage {
  return { kernel, image: { ...image, notes: [...image.notes, note] } };
}

/** What an image says of its kernel may be wrong, or of a moment before: memory decides where it leads nowhere. */
function knownOf({ vcpus, vmcoreinfo }: Image, { locate = 'auto' }: OpenOptions): FindOptions {
  if (locate === 'memory') return {};
  if (locate === 'registers') return { vcpus };
  return {
    ...(vcpus.length > 0 ? { vcpus } : {}),
    ...(vmcoreinfo === undefined ? {} : { vmcoreinfo }),
    orByMemory: true,
  };
}

function isRaw({ format }: Image): boolean {
  return format === 'raw';
}

/** Whether any machine would split RAM of that size. */
function isSplitAtAll(size: number): boolean {
  return RAM_LAYOUTS.some((layout) => ramRanges(layout, size).length > 1);
}

function sizeOf({ memory }: Image): number {
  return memory.ranges.reduce((sum, { size }) => sum + size, 0);
}

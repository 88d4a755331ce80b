import type { FileRange } from './file/bytes.ts';
import { ImageFile } from './file/image-file.ts';
import { identify, type OpenContent, openContent } from './formats.ts';
import { type Image, ImageError } from './image.ts';
import { openRaw } from './raw.ts';
import { ImageMemory } from './store/image-memory.ts';

/** What may be said about an image that its content does not say. */
export interface ImageOptions {
  /**
   * For a file without headers: what lies where in guest-physical memory. Without it the first byte is address 0.
   * Needed for the RAM file of a guest whose RAM is split around the PCI hole: see {@link ramRanges}.
   */
  readonly ranges?: readonly FileRange[];
}

/**
 * Opens a memory image; its format is told by its content. Nothing is decompressed yet, and the file is never
 * mapped. Throws an {@link ImageError} (a TargetError) that names the file and says in one sentence why it is not an
 * image, or not one that can be read.
 */
export function openImage(path: string, options: ImageOptions = {}): Image {
  const file = ImageFile.open(path);
  try {
    return open(file, options);
  } catch (error) {
    file[Symbol.dispose]();
    if (error instanceof ImageError) throw new ImageError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

function open(file: ImageFile, { ranges }: ImageOptions): Image {
  const content: OpenContent =
    ranges === undefined ? openContent(file, identify(file)) : openRaw(file, ranges);
  const { format, source, notes, vmcoreinfo, vcpus = [] } = content;
  const memory = new ImageMemory(source, () => {
    content.release?.();
    file[Symbol.dispose]();
  });
  return {
    name: file.path,
    format,
    notes,
    vcpus,
    ...(vmcoreinfo === undefined ? {} : { vmcoreinfo }),
    memory,
    [Symbol.asyncDispose]: async () => memory[Symbol.dispose](),
  };
}

import path from 'node:path';
import { TargetError } from '../../../errors.ts';
import { gpa } from '../../../memory/address.ts';
import { type FileRange, viewAt } from '../file/bytes.ts';
import { ImageFile } from '../file/image-file.ts';
import { type ImageContent, ImageError } from '../image.ts';
import { openRaw } from '../raw.ts';
import { PAGE_SIZE } from '../store/page-source.ts';
import { readVmwareState, VMWARE_MAGICS, type VmwareState } from './state.ts';

/** A state that was opened as the image: memory is in it, or in the `.vmem` beside it. */
export function openVmwareState(file: ImageFile): ImageContent & { readonly release?: () => void } {
  const state = readVmwareState(file);
  if (state.memory !== undefined) {
    const { offset, size } = state.memory;
    return openRaw(file, layout(state, size, offset), 'VMware state with memory');
  }
  const memory = besides(file.path, '.vmem');
  if (memory === undefined)
    throw new ImageError('the VMware state holds no memory, and there is no .vmem file beside it');
  const release = () => memory[Symbol.dispose]();
  try {
    return { ...openVmem(memory, state), release };
  } catch (error) {
    release();
    throw error;
  }
}

/** The VMware state beside a flat file, where there is one: `NAME.vmss` or `NAME.vmsn` for `NAME.vmem`. */
export function stateBesides(file: ImageFile): VmwareState | undefined {
  for (const extension of ['.vmss', '.vmsn']) {
    const candidate = besides(file.path, extension);
    if (candidate === undefined) continue;
    using state = candidate;
    const magic = viewAt(state, 0, 4)?.getUint32(0, true);
    if (magic !== undefined && VMWARE_MAGICS.has(magic)) return readVmwareState(state);
  }
  return undefined;
}

/** A `.vmem` file: guest-physical memory laid out as its state says, or flat. */
export function openVmem(file: ImageFile, state: VmwareState): ImageContent {
  return openRaw(file, layout(state, file.size, 0), 'VMware memory');
}

function layout({ regions }: VmwareState, size: number, base: number): readonly FileRange[] {
  if (regions.length === 0) return [{ start: gpa(0), size, offset: base }];
  return regions.map(({ firstFrame, firstPage, pages }) => ({
    start: gpa(firstFrame * PAGE_SIZE),
    size: pages * PAGE_SIZE,
    offset: base + firstPage * PAGE_SIZE,
  }));
}

function besides(file: string, extension: string): ImageFile | undefined {
  const { dir, name, ext } = path.parse(file);
  if (ext === extension) return undefined;
  try {
    return ImageFile.open(path.join(dir, name + extension));
  } catch (error) {
    if (error instanceof TargetError) return undefined;
    throw error;
  }
}

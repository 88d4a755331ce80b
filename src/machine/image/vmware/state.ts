import { type ByteSource, type FileExtent, readUpTo, text, u64, viewAt } from '../file/bytes.ts';
import { ImageError } from '../image.ts';

/** First four bytes of a checkpoint (.vmss, .vmsn), little-endian: partial, whole, restored, not to be restored. */
export const VMWARE_MAGICS: ReadonlySet<number> = new Set([
  0xbed2_bed0, 0xbad1_bad1, 0xbed2_bed2, 0xbed3_bed3,
]);

const GROUP_SIZE = 80;
const GROUPS_OFFSET = 12;
const MAXIMUM_GROUPS = 4096;
const MAXIMUM_TAGS = 65_536;
const MAXIMUM_REGIONS = 1024;

/** Sizes 62 and 63 of a tag stand for a block, whose own header says how long it is. */
const FIRST_BLOCK_SIZE = 62;

/** A run of the memory file, in pages. */
export interface VmwareRegion {
  readonly firstFrame: number;
  readonly firstPage: number;
  readonly pages: number;
}

/** What a checkpoint says of memory. */
export interface VmwareState {
  /** Empty where guest-physical memory is one run from 0 on. */
  readonly regions: readonly VmwareRegion[];
  /** Where memory is in the checkpoint itself, if it is. */
  readonly memory?: FileExtent;
}

/**
 * Reads the `memory` group of a VMware checkpoint: groups (name, 64 bytes; position; size) of tags (flags, name,
 * indices, value). As described by volatility's vmware layer and crash's vmware_vmss.c.
 */
export function readVmwareState(file: ByteSource): VmwareState {
  const position = memoryGroup(file);
  const values = new Map<string, number>();
  let memory: FileExtent | undefined;
  let at = position;
  for (let count = 0; ; count++) {
    const tag = count < MAXIMUM_TAGS ? readTag(file, at) : undefined;
    if (tag === undefined)
      throw new ImageError('what the VMware state says of memory has no end: it is damaged or cut short');
    if (tag === 'end') break;
    if (tag.value !== undefined) values.set(tag.key, tag.value);
    if (tag.block !== undefined && tag.name === 'Memory') memory = checkedMemory(tag.block);
    at = tag.end;
  }
  return { regions: regionsOf(values), ...(memory === undefined ? {} : { memory }) };
}

function memoryGroup(file: ByteSource): number {
  const groups = viewAt(file, 0, GROUPS_OFFSET)?.getUint32(8, true) ?? 0;
  const bytes = readUpTo(file, GROUPS_OFFSET, Math.min(groups, MAXIMUM_GROUPS) * GROUP_SIZE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + GROUP_SIZE <= bytes.length; at += GROUP_SIZE) {
    if (text(bytes.subarray(at, at + 64)) === 'memory') return u64(view, at + 64);
  }
  throw new ImageError('the VMware state says nothing of memory');
}

interface Block extends FileExtent {
  /** Size once decompressed. */
  readonly memorySize: number;
}

interface Tag {
  readonly name: string;
  /** Name, and the first index in brackets where there is one. */
  readonly key: string;
  readonly value?: number;
  readonly block?: Block;
  readonly end: number;
}

/** The tag at `position`; `end` at the end of the group, undefined at the end of the file. */
function readTag(file: ByteSource, position: number): Tag | 'end' | undefined {
  const head = readUpTo(file, position, 2 + 255 + 3 * 4 + 18);
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const [flags = 0, nameLength = 0] = head;
  const indices = (flags >>> 6) & 3;
  const size = flags & 0x3f;
  const afterName = 2 + nameLength;
  const afterIndices = afterName + 4 * indices;
  const isBlock = size >= FIRST_BLOCK_SIZE;
  if (head.length >= 2 && flags === 0 && nameLength === 0) return 'end';
  if (head.length < 2 || head.length < afterIndices + (isBlock ? 18 : size)) return undefined;
  const name = text(head.subarray(2, afterName));
  const key = indices > 0 ? `${name}[${view.getUint32(afterName, true)}]` : name;
  if (!isBlock) {
    const value =
      size === 4 ? view.getUint32(afterIndices, true) : size === 8 ? u64(view, afterIndices) : undefined;
    return { name, key, end: position + afterIndices + size, ...(value === undefined ? {} : { value }) };
  }
  const stored = u64(view, afterIndices);
  const offset = position + afterIndices + 18 + view.getUint16(afterIndices + 16, true);
  const block = { offset, size: stored, memorySize: u64(view, afterIndices + 8) };
  return { name, key, block, end: offset + stored };
}

function checkedMemory({ offset, size, memorySize }: Block): FileExtent {
  if (size !== memorySize)
    throw new ImageError('the memory in the VMware state is compressed, which is not supported');
  return { offset, size };
}

function regionsOf(values: ReadonlyMap<string, number>): readonly VmwareRegion[] {
  const count = values.get('regionsCount') ?? 0;
  if (count > MAXIMUM_REGIONS)
    throw new ImageError(`the VMware state has ${count} memory regions, which cannot be`);
  return Array.from({ length: count }, (_, index) => {
    const firstFrame = values.get(`regionPPN[${index}]`);
    const firstPage = values.get(`regionPageNum[${index}]`);
    const pages = values.get(`regionSize[${index}]`);
    if (firstFrame === undefined || firstPage === undefined || pages === undefined) {
      throw new ImageError(`the VMware state does not describe memory region ${index}`);
    }
    return { firstFrame, firstPage, pages };
  });
}

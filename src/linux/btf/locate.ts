import { TargetError, UnderwatchError } from '../../errors.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import type { KernelMemory } from '../kernel-memory.ts';
import { buildLayout } from '../layout.ts';
import type { SymbolTable } from '../symbols.ts';
import { BTF_HEADER_SIZE, decodeBtfHeader, MAX_BTF_BYTES } from './type-table.ts';
import { Btf } from './types.ts';

/** `BTF_MAGIC`, version 1, no flags: how every BTF blob begins, the length of its header left out. */
const HEADER_START = Buffer.from([0x9f, 0xeb, 0x01, 0x00]);
/** Searched at a time; a power of two. */
const CHUNK = 1 << 20;
/** Stale copies looked at before the search is given up; up to five were seen. */
const MAX_CANDIDATES = 256;

/**
 * Finds the kernel's type information: between `__start_BTF` and `__stop_BTF` where the symbols are known,
 * else by its header, in the kernel image first and then in all of RAM. RAM holds stale copies with a good
 * header and rotten contents (freed by the decompressor), so that a copy counts only when every structure that
 * Underwatch needs is in it. Throws a TargetError when there is none, or when the kernel's own lacks a structure.
 */
export function locateBtf(memory: KernelMemory, symbols: SymbolTable): Btf {
  const { physical, image } = memory;
  const start = symbols.find('__start_BTF');
  const stop = symbols.find('__stop_BTF');
  if (start !== undefined && stop !== undefined) {
    const length = Number(stop - start);
    const named = attempt(() => new Btf(memory.readBytes(start, boundedLength(length))));
    if (named !== undefined) {
      buildLayout(named);
      return named;
    }
  }
  const ranges = [{ start: image.physicalStart, size: image.size }, ...physical.ranges];
  let candidates = 0;
  for (const range of ranges)
    for (const address of headersIn(physical, range.start, range.size)) {
      const found = attempt(() => withNeededTypes(new Btf(readBlob(physical, address))));
      if (found !== undefined) return found;
      candidates += 1;
      if (candidates === MAX_CANDIDATES) throw noTypes();
    }
  throw noTypes();
}

function attempt(read: () => Btf): Btf | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
    throw error;
  }
}

function withNeededTypes(btf: Btf): Btf {
  buildLayout(btf);
  return btf;
}

function boundedLength(length: number): number {
  if (length < BTF_HEADER_SIZE || length > MAX_BTF_BYTES) throw noTypes();
  return length;
}

function readBlob(physical: PhysicalMemory, address: number): Uint8Array {
  const start = new Uint8Array(BTF_HEADER_SIZE);
  physical.read(address, start);
  const header = decodeBtfHeader(start);
  if (header === undefined || !physical.contains(address, header.length)) throw noTypes();
  const blob = new Uint8Array(header.length);
  physical.read(address, blob);
  return blob;
}

/** Guest-physical addresses, 4-byte aligned, at which a BTF header may begin. */
function* headersIn(physical: PhysicalMemory, start: number, size: number): Generator<number> {
  const chunk = Buffer.alloc(CHUNK);
  for (let at = start; at < start + size; at += CHUNK) {
    const piece = chunk.subarray(0, Math.min(CHUNK, start + size - at));
    if (!physical.contains(at, piece.length)) continue;
    physical.read(at, piece);
    for (let hit = piece.indexOf(HEADER_START); hit >= 0; hit = piece.indexOf(HEADER_START, hit + 1))
      if ((at + hit) % 4 === 0) yield at + hit;
  }
}

function noTypes(): TargetError {
  return new TargetError(
    'this kernel carries no type information (it was built without CONFIG_DEBUG_INFO_BTF): ' +
      'only its release and its symbols can be shown',
  );
}

import { type PhysicalMemory, PhysicalMemoryError } from './physical-memory.ts';

const PAGE_SIZE = 4096;

/**
 * Fills `target` from `address` (guest-physical) on; pages that cannot be read are zeros. For searches, which go on
 * where an image is damaged.
 */
export function readLeniently(memory: PhysicalMemory, address: number, target: Uint8Array): void {
  if (tryRead(memory, address, target)) return;
  for (let done = 0; done < target.length; ) {
    const length = Math.min(target.length - done, PAGE_SIZE - ((address + done) % PAGE_SIZE));
    const piece = target.subarray(done, done + length);
    if (!tryRead(memory, address + done, piece)) piece.fill(0);
    done += length;
  }
}

function tryRead(memory: PhysicalMemory, address: number, target: Uint8Array): boolean {
  try {
    memory.read(address, target);
    return true;
  } catch (error) {
    if (error instanceof PhysicalMemoryError) return false;
    throw error;
  }
}

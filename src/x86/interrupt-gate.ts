import { type GuestVirtualAddress, gvaOfWords } from '../memory/address.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';

/** The vector of page faults (Intel SDM vol. 3A table 6-1). */
export const PAGE_FAULT_VECTOR = 14;
const GATE_SIZE = 16;
const GATE_PRESENT = 0x8000;

/**
 * The handler that the interrupt descriptor table at a guest-physical address names for a vector, which
 * must be below 256; undefined when its gate is not present (Intel SDM vol. 3A 6.14.1).
 */
export function interruptHandler(
  memory: PhysicalMemory,
  table: number,
  vector: number,
): GuestVirtualAddress | undefined {
  const gate = table + vector * GATE_SIZE;
  if (!memory.contains(gate, GATE_SIZE)) return undefined;
  const upper = memory.u32(gate + 4);
  if ((upper & GATE_PRESENT) === 0) return undefined;
  return gvaOfWords(memory.u32(gate + 8), (upper & 0xffff_0000) | (memory.u32(gate) & 0xffff));
}

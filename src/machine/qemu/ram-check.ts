import { hex } from '../../memory/address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import type { QmpClient } from './qmp.ts';

/** Places compared in each range, ranges compared at most, and words compared at each place. */
const PLACES = 6;
const MAX_RANGES = 16;
const WORDS = 64;
/** A place may change between two readings: so often it is read again before it counts as different. */
const ATTEMPTS = 4;

/** Whether memory holds what QEMU's own monitor reads (`xp`), at places spread over every range. */
export async function agreesWithMonitor(qmp: QmpClient, memory: PhysicalMemory): Promise<boolean> {
  for (const { start, size } of memory.ranges.slice(0, MAX_RANGES)) {
    for (let i = 0; i < PLACES; i++) {
      const page = Math.floor((size / 4096 / PLACES) * i);
      if (!(await agreesAt(qmp, memory, start + page * 4096))) return false;
    }
  }
  return true;
}

async function agreesAt(qmp: QmpClient, memory: PhysicalMemory, address: number): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const words = parseWords(await qmp.monitor(`xp /${WORDS}xw ${hex(address)}`));
    if (words.length === WORDS && words.every((word, i) => memory.u32(address + 4 * i) === word)) return true;
  }
  return false;
}

/** Reads lines like `0000000000001000: 0x00000000 0xdeadbeef`. */
function parseWords(text: string): number[] {
  return [...text.matchAll(/ 0x([0-9a-f]{8})\b/g)].map((match) => Number.parseInt(match[1] ?? '', 16));
}

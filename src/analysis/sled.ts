/** Leading no-operations, short or long, from which a run is called a sled. */
const SHORTEST_SLED = 16;
/** Single bytes that do something nobody looks at: a sled of them is longer, as such bytes also occur by chance. */
const SHORTEST_HARMLESS = 40;

/** 64-bit mode: NOP, CLC, STC, CMC, CLD, CWDE, CDQ, WAIT, LAHF, SAHF. */
const HARMLESS_64 = new Set([0x90, 0xf8, 0xf9, 0xf5, 0xfc, 0x98, 0x99, 0x9b, 0x9f, 0x9e]);
/** 32-bit mode: also INC and DEC of registers, and the decimal adjustments. */
const HARMLESS_32 = new Set([...HARMLESS_64, 0x27, 0x2f, 0x37, 0x3f, 0xd6]);

/** Whether a run began with a sled: instructions that do nothing, or bytes that do nothing of use. */
export function isSled(leadingNops: number, start: Uint8Array, bits: 32 | 64): boolean {
  return leadingNops >= SHORTEST_SLED || harmlessBytes(start, bits) >= SHORTEST_HARMLESS;
}

function harmlessBytes(start: Uint8Array, bits: 32 | 64): number {
  const harmless = bits === 64 ? HARMLESS_64 : HARMLESS_32;
  const count = start.findIndex((byte) => !harmless.has(byte) && (bits === 64 || byte < 0x40 || byte > 0x4f));
  return count < 0 ? start.length : count;
}

/** The original's rule: the budget ran out, and three quarters of it were leading NOPs. */
export function isOriginalSled(leadingNops: number, budget: number): boolean {
  return leadingNops >= Math.floor(((budget + 1) * 75) / 100);
}

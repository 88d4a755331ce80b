/** Bytes in a page. */
export const PAGE = 4096;

/** A run of a sample machine's memory. */
export interface SampleRange {
  readonly start: number;
  readonly bytes: Buffer;
}

/**
 * A page that names its own address in every 16 bytes, so that a page read from a wrong place never looks right.
 * Every fourth page is one of zeros.
 */
export function samplePage(address: number): Buffer {
  const page = Buffer.alloc(PAGE);
  if ((address / PAGE) % 4 === 3) return page;
  for (let at = 0; at < PAGE; at += 16) {
    page.writeBigUInt64LE(BigInt(address + at), at);
    page.writeUInt32LE((Math.imul(address / PAGE + at, 2_654_435_761) >>> 0) % 1000, at + 8);
  }
  return page;
}

/** Consecutive sample pages. */
export function sampleRange(start: number, pages: number): SampleRange {
  return {
    start,
    bytes: Buffer.concat(Array.from({ length: pages }, (_, index) => samplePage(start + index * PAGE))),
  };
}

/** A machine with memory below the PCI hole and beyond 4 GiB. */
export const SAMPLE_MEMORY: readonly SampleRange[] = [
  sampleRange(0, 24),
  sampleRange(0x10_0000, 40),
  sampleRange(0x1_0000_0000, 20),
];

const HIGH_BITS = 0x1f_ffff;

/**
 * A number that stands for a kernel object by its address: the lowest 53 bits, exact in a number. Objects lie
 * in the direct map, which is smaller than that (Documentation/arch/x86/x86_64/mm.rst), so no two of a guest share one.
 */
export function kernelKey(high: number, low: number): number {
  return (high & HIGH_BITS) * 2 ** 32 + (low >>> 0);
}

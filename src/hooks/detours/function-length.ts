import type { SymbolTable } from '../../linux/symbols.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';

/** No function of the kernel that matters here is longer. */
const MAX_FUNCTION = 32 * 1024;

/** Bytes from a function's entry to the next symbol; at most 32 KiB. */
export function functionLength(symbols: Pick<SymbolTable, 'nearest'>, entry: GuestVirtualAddress): number {
  let low: bigint = entry;
  let high = entry + BigInt(MAX_FUNCTION);
  if ((symbols.nearest(gva(high))?.address ?? 0n) <= entry) return MAX_FUNCTION;
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if ((symbols.nearest(gva(middle))?.address ?? 0n) > entry) high = middle;
    else low = middle;
  }
  return Number(high - entry);
}

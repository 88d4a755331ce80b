/**
 * The table of protected address spaces: open addressing over 64-bit slots, each an `mm_struct`'s address, 0 for
 * never used, or 1 for one that was taken out. It lies beside the stubs, where the guest cannot write.
 */
export const FILTER_SLOTS = 256;
export const FILTER_BITS = 8;
export const REMOVED = 1n;
/** 64-bit word behind the slots (32 bits used): how many address spaces are in the table. */
export const FILTER_COUNT_OFFSET = 8 * FILTER_SLOTS;

/** Sign-extended 32-bit factor of the hash: its upper bits pick the slot. 2^32 over the golden ratio. */
export const HASH_FACTOR = 0x61c8_8647n;

/** The slot at which the search for an address begins. */
export function firstSlot(address: bigint): number {
  return Number(BigInt.asUintN(64, address * HASH_FACTOR) >> BigInt(64 - FILTER_BITS));
}

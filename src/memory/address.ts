declare const space: unique symbol;

/** A guest-virtual address (GVA): 64 bits, canonical or not; used at the API's edge, never inside a walker. */
export type GuestVirtualAddress = bigint & { readonly [space]: 'virtual' };

/** A guest-physical address (GPA): below 2^52 (Intel SDM vol. 3A 4.4.1), so exact in a number. */
export type GuestPhysicalAddress = number & { readonly [space]: 'physical' };

/** Brands a 64-bit value as guest-virtual; values outside 64 bits wrap, as the CPU's own arithmetic does. */
export function gva(value: bigint): GuestVirtualAddress {
  return BigInt.asUintN(64, value) as GuestVirtualAddress;
}

/** Brands a number as guest-physical. */
export function gpa(value: number): GuestPhysicalAddress {
  return value as GuestPhysicalAddress;
}

/** The upper 32 bits of a 64-bit address, unsigned. */
export function highWord(address: bigint): number {
  return Number((address >> 32n) & 0xffff_ffffn);
}

/** The lower 32 bits of a 64-bit address, unsigned. */
export function lowWord(address: bigint): number {
  return Number(address & 0xffff_ffffn);
}

/** Joins two 32-bit words (signed or unsigned) into a guest-virtual address. */
export function gvaOfWords(high: number, low: number): GuestVirtualAddress {
  return ((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)) as GuestVirtualAddress;
}

/** `0xffffffff81000000`: how addresses are written in messages and JSON. */
export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** What an emulation knows of each byte that it touched, one bit each; four bytes wide so that a word store marks at once. */

/** Stored to in this run. */
export const WRITTEN = 0x01;
/** Part of a return address that a near call pushed. */
export const RETURN_ADDRESS = 0x02;
/** Part of an instruction address that FNSTENV, FNSAVE or FXSAVE stored. */
export const FPU_ADDRESS = 0x04;
/** Stored by an instruction that had run several times already: the work of a loop. */
export const LOOPED = 0x08;
/** Came from outside: what a read or recv put there. */
export const RECEIVED = 0x10;

/** Reading one of these bytes tells code where it lies. */
export const CODE_ADDRESS = RETURN_ADDRESS | FPU_ADDRESS;

/** The same mark on four bytes. */
export function fourfold(mark: number): number {
  return Math.imul(mark, 0x01010101);
}

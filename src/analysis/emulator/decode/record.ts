/**
 * A decoded instruction: sixteen 32-bit words in one big Int32Array. The constants are word numbers.
 *
 * An operand word holds its kind in bits 0-7, its register in bits 8-15 and its size in bytes in bits 16-31.
 */

/** Words a record takes. */
export const RECORD_WORDS = 16;

/** Index of the function that executes it. */
export const HANDLER = 0;
/** Length in bytes (bits 0-7) and the flags below. */
export const LENGTH = 1;
/** Operand words, in Intel order: the destination is the first. */
export const FIRST = 2;
export const SECOND = 3;
export const THIRD = 4;
export const FOURTH = 5;
/** Base register (bits 0-7), index register (8-15), shift of the index (16-17), segment (24-31). */
export const ADDRESSING = 6;
export const DISPLACEMENT_LOW = 7;
export const DISPLACEMENT_HIGH = 8;
/** The immediate, sign-extended to 64 bits; of branches the distance from the next instruction. */
export const IMMEDIATE_LOW = 9;
export const IMMEDIATE_HIGH = 10;
/** Bytes of an address: 2, 4 or 8. */
export const ADDRESS_SIZE = 11;
/** How often it ran. */
export const RUNS = 12;
/** iced-x86's Code (bits 0-15) and the second immediate of ENTER and far branches (bits 16-31). */
export const CODE = 13;

/** Flags in LENGTH. */
export const IS_NOP = 0x100;
/** Some byte of it was stored to in this run. */
export const IS_WRITTEN = 0x200;
export const IS_REP = 0x400;
export const IS_REPNE = 0x800;
/** VEX encoding: three operands, and the upper half of the destination is cleared. */
export const IS_VEX = 0x1000;
/** RET, RETF or IRET: taking a return address is what it is for. */
export const IS_RETURN = 0x2000;
/** Its first operand is an explicit general register of the mode's width that it writes. */
export const WRITES_REGISTER = 0x4000;
/** Some byte of it was stored by a loop. */
export const IS_LOOPED = 0x8000;
/** Some byte of it came from outside, by read or recv. */
export const IS_RECEIVED = 0x10000;
/** It writes RSP other than by pushing, popping, calling or returning. */
export const WRITES_STACK_POINTER = 0x20000;
/** It writes a general or vector register (not RSP alone) or memory: what it reads does not vanish in flags. */
export const KEEPS_VALUE = 0x40000;
/** REP or REPNE stands before it: its iterations are not a loop of the code's own. */
export const IS_REPEATED = IS_REP | IS_REPNE;

/** Kinds of operand. */
export const NONE = 0;
export const REGISTER = 1;
/** AH, CH, DH or BH, numbered as RAX to RBX. */
export const HIGH_BYTE = 2;
export const MEMORY = 3;
export const IMMEDIATE = 4;
export const SEGMENT = 5;
export const VECTOR = 6;
export const MMX = 7;
export const BRANCH = 8;
export const X87 = 9;
/** A far pointer in memory; its size is that of the offset, which the selector follows. */
export const FAR_MEMORY = 10;
/** A far pointer in the instruction: the offset as immediate, the selector as second immediate. */
export const FAR_IMMEDIATE = 11;

/** Register numbers in ADDRESSING beyond the sixteen general ones. */
export const NO_REGISTER = 0xff;
export const INSTRUCTION_POINTER = 0xfe;

export function operandWord(kind: number, register: number, size: number): number {
  return kind | (register << 8) | (size << 16);
}

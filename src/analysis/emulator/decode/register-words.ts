import { Register } from 'iced-x86';
import { HIGH_BYTE, MMX, operandWord, REGISTER, SEGMENT, VECTOR, X87 } from './record.ts';

/** iced-x86's register number to the operand word of a record; 0 for registers that nothing here uses. */
export const REGISTER_WORDS = new Int32Array(256);

function fill(first: number, count: number, kind: number, size: number, number = 0): void {
  for (let i = 0; i < count; i++) REGISTER_WORDS[first + i] = operandWord(kind, number + i, size);
}

fill(Register.AL, 4, REGISTER, 1);
fill(Register.AH, 4, HIGH_BYTE, 1);
fill(Register.SPL, 12, REGISTER, 1, 4);
fill(Register.AX, 16, REGISTER, 2);
fill(Register.EAX, 16, REGISTER, 4);
fill(Register.RAX, 16, REGISTER, 8);
fill(Register.ES, 6, SEGMENT, 2);
fill(Register.XMM0, 16, VECTOR, 16);
fill(Register.YMM0, 16, VECTOR, 32);
fill(Register.MM0, 8, MMX, 8);
fill(Register.ST0, 8, X87, 10);

/** The general register's hardware number and width in bytes of a base or index register. */
export function addressRegister(register: number): { number: number; size: number } {
  const word = REGISTER_WORDS[register] ?? 0;
  return { number: (word >> 8) & 0xff, size: word >>> 16 };
}

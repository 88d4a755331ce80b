import { FIRST, SECOND } from '../../decode/record.ts';
import type { Execute, InstructionGroup } from '../group.ts';
import { left, read, result, width, write } from './lanes.ts';
import { withVex } from './vex.ts';

/** Widens elements of `from` bytes to `to` bytes, with zeroes or with the sign. */
function widen(from: number, to: number, signed: boolean): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left, false);
    for (let i = 0; i < width(cpu, at); i++) {
      const element = Math.floor(i / to);
      const byte = i % to;
      const fill = signed && left.byte((element + 1) * from - 1) >= 128 ? 0xff : 0;
      result.u8[i] = byte < from ? left.byte(element * from + byte) : fill;
    }
    write(cpu, at, FIRST, result);
  };
}

export const VECTOR_EXTEND: InstructionGroup = {
  title: 'Vector widening',
  instructions: withVex({
    Pmovsxbw: widen(1, 2, true),
    Pmovsxbd: widen(1, 4, true),
    Pmovsxbq: widen(1, 8, true),
    Pmovsxwd: widen(2, 4, true),
    Pmovsxwq: widen(2, 8, true),
    Pmovsxdq: widen(4, 8, true),
    Pmovzxbw: widen(1, 2, false),
    Pmovzxbd: widen(1, 4, false),
    Pmovzxbq: widen(1, 8, false),
    Pmovzxwd: widen(2, 4, false),
    Pmovzxwq: widen(2, 8, false),
    Pmovzxdq: widen(4, 8, false),
  }),
};

import type { Cpu } from '../../cpu.ts';
import { FIRST, IMMEDIATE, IMMEDIATE_LOW } from '../../decode/record.ts';
import { operandKind } from '../../operands.ts';
import type { Execute, InstructionGroup } from '../group.ts';
import { shiftLeft, shiftRight } from '../shift.ts';
import { isVex, lastSource, left, read, readPair, result, right, width, write } from './lanes.ts';
import { withVex } from './vex.ts';

/** The count: an immediate, or the low quadword of the last operand; anything too large counts as 255. */
function readCount(cpu: Cpu, at: number): number {
  const source = lastSource(cpu, at);
  if (operandKind(cpu, at, source) === IMMEDIATE) return cpu.record(at, IMMEDIATE_LOW) & 0xff;
  read(cpu, at, source, right);
  return right.word(1) !== 0 || (right.u32[0] ?? 0) > 255 ? 255 : right.word(0);
}

/** Shifts every element by the one count. */
function shiftAll(
  elements: 'u16' | 'i16' | 'u32' | 'i32',
  operation: (a: number, count: number) => number,
): Execute {
  return (cpu, at) => {
    const count = readCount(cpu, at);
    read(cpu, at, isVex(cpu, at) ? FIRST + 1 : FIRST, left);
    const view = result[elements];
    const limit = 8 * view.BYTES_PER_ELEMENT;
    for (let i = 0; i < width(cpu, at) / view.BYTES_PER_ELEMENT; i++) {
      view[i] = shifted(left[elements][i] ?? 0, count, limit, operation);
    }
    write(cpu, at, FIRST, result);
  };
}

/** A count beyond the width leaves nothing; arithmetic shifts then leave the sign, being limited by the caller. */
function shifted(
  value: number,
  count: number,
  limit: number,
  operation: (a: number, n: number) => number,
): number {
  return count < limit ? operation(value, count) : operation(operation(value, limit / 2), limit / 2);
}

function quadword(cpu: Cpu, i: number, count: number, toLeft: boolean): void {
  const shift = toLeft ? shiftLeft : shiftRight;
  result.i32[i] = count > 63 ? 0 : shift(cpu, left.word(i), left.word(i + 1), count);
  result.i32[i + 1] = count > 63 ? 0 : cpu.highWord;
}

function shiftQuads(toLeft: boolean): Execute {
  return (cpu, at) => {
    const count = readCount(cpu, at);
    read(cpu, at, isVex(cpu, at) ? FIRST + 1 : FIRST, left);
    for (let i = 0; i < width(cpu, at) / 4; i += 2) quadword(cpu, i, count, toLeft);
    write(cpu, at, FIRST, result);
  };
}

/** Whole lanes of 16 bytes by a number of bytes. */
function shiftBytes(toLeft: boolean): Execute {
  return (cpu, at) => {
    const count = Math.min(cpu.record(at, IMMEDIATE_LOW) & 0xff, 16);
    read(cpu, at, isVex(cpu, at) ? FIRST + 1 : FIRST, left);
    for (let i = 0; i < width(cpu, at); i++) {
      const from = (i & 15) + (toLeft ? -count : count);
      result.u8[i] = from < 0 || from > 15 ? 0 : left.byte((i & 16) + from);
    }
    write(cpu, at, FIRST, result);
  };
}

/** AVX2: a count for each element. */
function shiftEach(operation: (a: number, count: number) => number): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    for (let i = 0; i < width(cpu, at) / 4; i++) {
      result.i32[i] = shifted(left.word(i), Math.min(right.u32[i] ?? 0, 255), 32, operation);
    }
    write(cpu, at, FIRST, result);
  };
}

function shiftEachQuad(toLeft: boolean): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    for (let i = 0; i < width(cpu, at) / 4; i += 2) {
      const count = right.word(i + 1) !== 0 ? 64 : Math.min(right.u32[i] ?? 0, 64);
      quadword(cpu, i, count, toLeft);
    }
    write(cpu, at, FIRST, result);
  };
}

export const VECTOR_SHIFT: InstructionGroup = {
  title: 'Vector shifts',
  instructions: withVex({
    Psllw: shiftAll('u16', (a, count) => a << count),
    Pslld: shiftAll('i32', (a, count) => a << count),
    Psllq: shiftQuads(true),
    Psrlw: shiftAll('u16', (a, count) => a >>> count),
    Psrld: shiftAll('u32', (a, count) => a >>> count),
    Psrlq: shiftQuads(false),
    Psraw: shiftAll('i16', (a, count) => a >> count),
    Psrad: shiftAll('i32', (a, count) => a >> count),
    Pslldq: shiftBytes(true),
    Psrldq: shiftBytes(false),
    Vpsllvd: shiftEach((a, count) => a << count),
    Vpsrlvd: shiftEach((a, count) => a >>> count),
    Vpsravd: shiftEach((a, count) => a >> count),
    Vpsllvq: shiftEachQuad(true),
    Vpsrlvq: shiftEachQuad(false),
  }),
};

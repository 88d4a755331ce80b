import type { Cpu } from '../../cpu.ts';
import { FIRST, SECOND } from '../../decode/record.ts';
import { multiply, multiplySigned, product } from '../../wide.ts';
import type { Execute, InstructionGroup } from '../group.ts';
import { type Lanes, left, read, readPair, result, right, width, write } from './lanes.ts';
import { withVex } from './vex.ts';

type Elements = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32';

/** Applies a function to each pair of elements; the result is cut to the element's width. */
function elementwise(elements: Elements, operation: (a: number, b: number) => number): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    const [a, b, r] = [left[elements], right[elements], result[elements]];
    const count = width(cpu, at) / r.BYTES_PER_ELEMENT;
    for (let i = 0; i < count; i++) r[i] = operation(a[i] ?? 0, b[i] ?? 0);
    write(cpu, at, FIRST, result);
  };
}

/** Applies a function to each element of the one source. */
function eachElement(elements: Elements, operation: (a: number) => number): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left);
    const [a, r] = [left[elements], result[elements]];
    const count = width(cpu, at) / r.BYTES_PER_ELEMENT;
    for (let i = 0; i < count; i++) r[i] = operation(a[i] ?? 0);
    write(cpu, at, FIRST, result);
  };
}

/** Applies a function to each pair of quadwords, as words (low, high) of both sources at index `i`. */
function quadwords(operation: (i: number) => void): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    for (let i = 0; i < width(cpu, at) / 4; i += 2) operation(i);
    write(cpu, at, FIRST, result);
  };
}

function saturate(low: number, high: number): (value: number) => number {
  return (value) => Math.max(low, Math.min(high, value));
}

export const toI8 = saturate(-128, 127);
export const toU8 = saturate(0, 255);
export const toI16 = saturate(-32768, 32767);
export const toU16 = saturate(0, 65535);

function addQuad(i: number): void {
  const low = (left.u32[i] ?? 0) + (right.u32[i] ?? 0);
  result.i32[i] = low;
  result.i32[i + 1] = left.word(i + 1) + right.word(i + 1) + (low > 0xffff_ffff ? 1 : 0);
}

function subtractQuad(i: number): void {
  const low = (left.u32[i] ?? 0) - (right.u32[i] ?? 0);
  result.i32[i] = low;
  result.i32[i + 1] = left.word(i + 1) - right.word(i + 1) - (low < 0 ? 1 : 0);
}

function equalQuad(i: number): void {
  const equal = left.word(i) === right.word(i) && left.word(i + 1) === right.word(i + 1);
  result.i32[i] = result.i32[i + 1] = equal ? -1 : 0;
}

function greaterQuad(i: number): void {
  const [a, b] = [left.word(i + 1), right.word(i + 1)];
  const greater = a > b || (a === b && (left.u32[i] ?? 0) > (right.u32[i] ?? 0));
  result.i32[i] = result.i32[i + 1] = greater ? -1 : 0;
}

/** 32 x 32 bits to 64, of the even elements. */
function multiplyEven(signed: boolean): (i: number) => void {
  return (i) => {
    const [a, b] = [left.word(i), right.word(i)];
    if (signed) multiplySigned(a, a >> 31, b, b >> 31);
    else multiply(a, 0, b, 0);
    result.i32[i] = product[0] ?? 0;
    result.i32[i + 1] = product[1] ?? 0;
  };
}

/** Sums products of neighbouring elements. */
function pmaddwd(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  for (let i = 0; i < width(cpu, at) / 4; i++) {
    const even = (left.i16[2 * i] ?? 0) * (right.i16[2 * i] ?? 0);
    result.i32[i] = even + (left.i16[2 * i + 1] ?? 0) * (right.i16[2 * i + 1] ?? 0);
  }
  write(cpu, at, FIRST, result);
}

function pmaddubsw(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  for (let i = 0; i < width(cpu, at) / 2; i++) {
    const even = (left.u8[2 * i] ?? 0) * (right.i8[2 * i] ?? 0);
    result.i16[i] = toI16(even + (left.u8[2 * i + 1] ?? 0) * (right.i8[2 * i + 1] ?? 0));
  }
  write(cpu, at, FIRST, result);
}

/** Sums of absolute differences, one a quadword. */
function psadbw(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  for (let i = 0; i < width(cpu, at); i += 8) {
    let sum = 0;
    for (let j = i; j < i + 8; j++) sum += Math.abs(left.byte(j) - right.byte(j));
    result.i32[i / 4] = sum;
    result.i32[i / 4 + 1] = 0;
  }
  write(cpu, at, FIRST, result);
}

/** Joins neighbours of the first source, then those of the second, within each 16 bytes (8 for MMX). */
function horizontal(elements: 'i16' | 'i32', operation: (a: number, b: number) => number): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    const lane = Math.min(width(cpu, at), 16) / result[elements].BYTES_PER_ELEMENT;
    const count = width(cpu, at) / result[elements].BYTES_PER_ELEMENT;
    for (let start = 0; start < count; start += lane) {
      for (let i = 0; i < lane; i++) {
        const source: Lanes = i < lane / 2 ? left : right;
        const from = start + ((2 * i) % lane);
        result[elements][start + i] = operation(source[elements][from] ?? 0, source[elements][from + 1] ?? 0);
      }
    }
    write(cpu, at, FIRST, result);
  };
}

function sign(a: number, b: number): number {
  return b < 0 ? -a : b === 0 ? 0 : a;
}

/** PTEST: ZF when no bit is common, CF when the first covers the second. */
function ptest(cpu: Cpu, at: number): void {
  read(cpu, at, FIRST, left);
  read(cpu, at, SECOND, right);
  let common = 0;
  let uncovered = 0;
  for (let i = 0; i < width(cpu, at) / 4; i++) {
    common |= left.word(i) & right.word(i);
    uncovered |= ~left.word(i) & right.word(i);
  }
  cpu.zeroWord = common;
  cpu.carry = uncovered === 0 ? 1 : 0;
  cpu.signWord = cpu.overflowWord = cpu.adjustWord = 0;
  cpu.parityByte = 1;
}

const and = elementwise('i32', (a, b) => a & b);
const andNot = elementwise('i32', (a, b) => ~a & b);
const or = elementwise('i32', (a, b) => a | b);
const xor = elementwise('i32', (a, b) => a ^ b);

export const VECTOR_LOGIC: InstructionGroup = {
  title: 'Vector logic',
  instructions: withVex({
    Pand: and,
    Andps: and,
    Andpd: and,
    Pandn: andNot,
    Andnps: andNot,
    Andnpd: andNot,
    Por: or,
    Orps: or,
    Orpd: or,
    Pxor: xor,
    Xorps: xor,
    Xorpd: xor,
    Ptest: ptest,
  }),
};

export const VECTOR_INTEGER: InstructionGroup = {
  title: 'Vector integer arithmetic and comparison',
  instructions: withVex({
    Paddb: elementwise('i8', (a, b) => a + b),
    Paddw: elementwise('i16', (a, b) => a + b),
    Paddd: elementwise('i32', (a, b) => a + b),
    Paddq: quadwords(addQuad),
    Psubb: elementwise('i8', (a, b) => a - b),
    Psubw: elementwise('i16', (a, b) => a - b),
    Psubd: elementwise('i32', (a, b) => a - b),
    Psubq: quadwords(subtractQuad),
    Paddsb: elementwise('i8', (a, b) => toI8(a + b)),
    Paddsw: elementwise('i16', (a, b) => toI16(a + b)),
    Paddusb: elementwise('u8', (a, b) => toU8(a + b)),
    Paddusw: elementwise('u16', (a, b) => toU16(a + b)),
    Psubsb: elementwise('i8', (a, b) => toI8(a - b)),
    Psubsw: elementwise('i16', (a, b) => toI16(a - b)),
    Psubusb: elementwise('u8', (a, b) => toU8(a - b)),
    Psubusw: elementwise('u16', (a, b) => toU16(a - b)),
    Pmullw: elementwise('i16', (a, b) => a * b),
    Pmulhw: elementwise('i16', (a, b) => (a * b) >> 16),
    Pmulhuw: elementwise('u16', (a, b) => (a * b) >>> 16),
    Pmulhrsw: elementwise('i16', (a, b) => (((a * b) >> 14) + 1) >> 1),
    Pmulld: elementwise('i32', (a, b) => Math.imul(a, b)),
    Pmuludq: quadwords(multiplyEven(false)),
    Pmuldq: quadwords(multiplyEven(true)),
    Pmaddwd: pmaddwd,
    Pmaddubsw: pmaddubsw,
    Psadbw: psadbw,
    Pavgb: elementwise('u8', (a, b) => (a + b + 1) >> 1),
    Pavgw: elementwise('u16', (a, b) => (a + b + 1) >> 1),
    Pminub: elementwise('u8', Math.min),
    Pminuw: elementwise('u16', Math.min),
    Pminud: elementwise('u32', Math.min),
    Pminsb: elementwise('i8', Math.min),
    Pminsw: elementwise('i16', Math.min),
    Pminsd: elementwise('i32', Math.min),
    Pmaxub: elementwise('u8', Math.max),
    Pmaxuw: elementwise('u16', Math.max),
    Pmaxud: elementwise('u32', Math.max),
    Pmaxsb: elementwise('i8', Math.max),
    Pmaxsw: elementwise('i16', Math.max),
    Pmaxsd: elementwise('i32', Math.max),
    Pabsb: eachElement('i8', Math.abs),
    Pabsw: eachElement('i16', Math.abs),
    Pabsd: eachElement('i32', Math.abs),
    Psignb: elementwise('i8', sign),
    Psignw: elementwise('i16', sign),
    Psignd: elementwise('i32', sign),
    Phaddw: horizontal('i16', (a, b) => a + b),
    Phaddd: horizontal('i32', (a, b) => a + b),
    Phaddsw: horizontal('i16', (a, b) => toI16(a + b)),
    Phsubw: horizontal('i16', (a, b) => a - b),
    Phsubd: horizontal('i32', (a, b) => a - b),
    Phsubsw: horizontal('i16', (a, b) => toI16(a - b)),
    Pcmpeqb: elementwise('i8', (a, b) => (a === b ? -1 : 0)),
    Pcmpeqw: elementwise('i16', (a, b) => (a === b ? -1 : 0)),
    Pcmpeqd: elementwise('i32', (a, b) => (a === b ? -1 : 0)),
    Pcmpeqq: quadwords(equalQuad),
    Pcmpgtb: elementwise('i8', (a, b) => (a > b ? -1 : 0)),
    Pcmpgtw: elementwise('i16', (a, b) => (a > b ? -1 : 0)),
    Pcmpgtd: elementwise('i32', (a, b) => (a > b ? -1 : 0)),
    Pcmpgtq: quadwords(greaterQuad),
  }),
};

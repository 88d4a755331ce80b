import type { Cpu } from '../../cpu.ts';
import { FIRST, FOURTH, IMMEDIATE, IMMEDIATE_LOW, REGISTER, SECOND, THIRD } from '../../decode/record.ts';
import { operandKind, operandRegister, operandSize, writeRegister } from '../../operands.ts';
import type { Execute, InstructionGroup } from '../group.ts';
import { toI8, toI16, toU8, toU16 } from './integer.ts';
import { isVex, Lanes, left, read, readPair, result, right, width, write } from './lanes.ts';
import { withVex } from './vex.ts';

/** The mask of the blends that take it from a register. */
const mask = new Lanes();

function immediate(cpu: Cpu, at: number): number {
  return cpu.record(at, IMMEDIATE_LOW) & 0xff;
}

/** Where each byte of the result comes from: 0 to 31 in the first source, 32 to 63 in the second, -1 for zero. */
type ByteSource = (index: number, control: number) => number;

function choose(source: ByteSource, size: number, control: number): void {
  for (let i = 0; i < size; i++) {
    const from = source(i, control);
    result.u8[i] = from < 0 ? 0 : from < 32 ? left.byte(from) : right.byte(from - 32);
  }
}

/** Both sources by an immediate, or by nothing. */
function permutePair(source: ByteSource): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    choose(source, width(cpu, at), immediate(cpu, at));
    write(cpu, at, FIRST, result);
  };
}

/** The one source by an immediate. */
function permuteOne(source: ByteSource): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left);
    choose(source, width(cpu, at), immediate(cpu, at));
    write(cpu, at, FIRST, result);
  };
}

/** Interleaves the lower or upper halves of each 16 bytes (8 for MMX). */
function unpack(bytes: number, upper: boolean): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    const lane = Math.min(width(cpu, at), 16);
    for (let i = 0; i < width(cpu, at); i++) {
      const inLane = i % lane;
      const element = Math.floor(inLane / (2 * bytes));
      const from = i - inLane + (upper ? lane / 2 : 0) + element * bytes + (inLane % bytes);
      result.u8[i] = Math.floor(inLane / bytes) % 2 === 0 ? left.byte(from) : right.byte(from);
    }
    write(cpu, at, FIRST, result);
  };
}

/** Halves the elements of both sources with saturation, within each 16 bytes (8 for MMX). */
function pack(
  from: 'i16' | 'i32',
  to: 'i8' | 'u8' | 'i16' | 'u16',
  saturate: (value: number) => number,
): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    const lane = Math.min(width(cpu, at), 16) / result[to].BYTES_PER_ELEMENT;
    for (let i = 0; i < width(cpu, at) / result[to].BYTES_PER_ELEMENT; i++) {
      const inLane = i % lane;
      const source = inLane < lane / 2 ? left : right;
      const element = Math.floor(i / lane) * (lane / 2) + (inLane % (lane / 2));
      result[to][i] = saturate(source[from][element] ?? 0);
    }
    write(cpu, at, FIRST, result);
  };
}

function pshufb(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  const lane = Math.min(width(cpu, at), 16);
  for (let i = 0; i < width(cpu, at); i++) {
    const control = right.byte(i);
    result.u8[i] = control >= 128 ? 0 : left.byte((i & ~(lane - 1)) + (control & (lane - 1)));
  }
  write(cpu, at, FIRST, result);
}

/** The two sources side by side, shifted right by bytes. */
function palignr(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  const count = immediate(cpu, at);
  const lane = Math.min(width(cpu, at), 16);
  for (let i = 0; i < width(cpu, at); i++) {
    const from = (i % lane) + count;
    const start = i - (i % lane);
    result.u8[i] =
      from < lane ? right.byte(start + from) : from < 2 * lane ? left.byte(start + from - lane) : 0;
  }
  write(cpu, at, FIRST, result);
}

/** Puts an integer into one element. */
function insert(bytes: number): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    const size = width(cpu, at);
    const to = (immediate(cpu, at) % (size / bytes)) * bytes;
    for (let i = 0; i < bytes; i++) left.u8[to + i] = right.byte(i);
    write(cpu, at, FIRST, left);
  };
}

/** Takes one element, zero-extended. */
function extract(bytes: number): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left);
    const from = (immediate(cpu, at) % (operandSize(cpu, at, SECOND) / bytes)) * bytes;
    result.i32.fill(0);
    for (let i = 0; i < bytes; i++) result.u8[i] = left.byte(from + i);
    if (operandKind(cpu, at, FIRST) === REGISTER) {
      const register = operandRegister(cpu, at, FIRST);
      writeRegister(cpu, register, 8, result.word(0), cpu.bits === 64 ? result.word(1) : 0);
    } else write(cpu, at, FIRST, result);
  };
}

/** One word from the second source to a place in the first, and a mask of words to clear. */
function insertps(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  const control = immediate(cpu, at);
  const fromMemory = operandSize(cpu, at, isVex(cpu, at) ? THIRD : SECOND) === 4;
  left.i32[(control >>> 4) & 3] = right.word(fromMemory ? 0 : control >>> 6);
  for (let i = 0; i < 4; i++) if (((control >>> i) & 1) !== 0) left.i32[i] = 0;
  write(cpu, at, FIRST, left);
}

/** Elements of the second source where a bit of the immediate is set. */
function blend(bytes: number): Execute {
  return permutePair((i, control) => {
    const bit = Math.floor(i / bytes) % 8;
    return ((control >>> bit) & 1) !== 0 ? 32 + i : i;
  });
}

/** Elements of the second source where the mask's sign is set: XMM0, or with VEX the fourth operand. */
function blendByRegister(bytes: number): Execute {
  return (cpu, at) => {
    readPair(cpu, at);
    if (isVex(cpu, at)) read(cpu, at, FOURTH, mask);
    else for (let i = 0; i < 4; i++) mask.i32[i] = cpu.vectors[i] ?? 0;
    choose((i) => (mask.byte(i - (i % bytes) + bytes - 1) >= 128 ? 32 + i : i), width(cpu, at), 0);
    write(cpu, at, FIRST, result);
  };
}

/** Any word of the register by the low bits of a word of the mask. */
function permuteWords(cpu: Cpu, at: number): void {
  read(cpu, at, SECOND, left);
  read(cpu, at, THIRD, right);
  for (let i = 0; i < 8; i++) result.i32[i] = right.word(left.word(i) & 7);
  write(cpu, at, FIRST, result);
}

/** Halves of both registers, or zero. */
function permuteHalves(cpu: Cpu, at: number): void {
  readPair(cpu, at);
  choose(
    (i, control) => {
      const field = i < 16 ? control : control >>> 4;
      return (field & 8) !== 0 ? -1 : (field & 3) * 16 + (i & 15);
    },
    32,
    immediate(cpu, at),
  );
  write(cpu, at, FIRST, result);
}

/** VPERMILPS and VPERMILPD: within each 16 bytes, by an immediate or by a register. */
function permuteInLane(bytes: 4 | 8): Execute {
  return (cpu, at) => {
    const perLane = 16 / bytes;
    const byImmediate = operandKind(cpu, at, THIRD) === IMMEDIATE;
    read(cpu, at, SECOND, left);
    if (!byImmediate) read(cpu, at, THIRD, mask);
    const control = immediate(cpu, at);
    for (let i = 0; i < width(cpu, at); i++) {
      const element = Math.floor(i / bytes);
      const fromImmediate = bytes === 4 ? (control >>> (2 * (element % 4))) & 3 : (control >>> element) & 1;
      const fromMask = bytes === 4 ? mask.word(element) & 3 : (mask.word(2 * element) >>> 1) & 1;
      const chosen = byImmediate ? fromImmediate : fromMask;
      result.u8[i] = left.byte((Math.floor(element / perLane) * perLane + chosen) * bytes + (i % bytes));
    }
    write(cpu, at, FIRST, result);
  };
}

/** Two bits of the immediate choose a word within the 16 bytes. */
function chooseWord(i: number, control: number): number {
  return (i & ~15) + 4 * ((control >>> (2 * ((i >>> 2) & 3))) & 3) + (i & 3);
}

/** Two bits choose a 16-bit element within eight bytes. */
function chooseShort(i: number, control: number): number {
  return (i & ~7) + 2 * ((control >>> (2 * ((i >>> 1) & 3))) & 3) + (i & 1);
}

const permuteQuads = permuteOne((i, control) => 8 * ((control >>> (2 * (i >>> 3))) & 3) + (i & 7));

export const VECTOR_SHUFFLE: InstructionGroup = {
  title: 'Vector shuffles, packing, insertion and extraction',
  instructions: withVex({
    Pshufd: permuteOne(chooseWord),
    Pshufw: permuteOne(chooseShort),
    Pshuflw: permuteOne((i, control) => ((i & 8) === 0 ? chooseShort(i, control) : i)),
    Pshufhw: permuteOne((i, control) => ((i & 8) !== 0 ? chooseShort(i, control) : i)),
    Pshufb: pshufb,
    Shufps: permutePair((i, control) => chooseWord(i, control) + ((i & 8) !== 0 ? 32 : 0)),
    Shufpd: permutePair((i, control) => {
      const from = (i & ~15) + 8 * ((control >>> (i >>> 3)) & 1) + (i & 7);
      return from + ((i & 8) !== 0 ? 32 : 0);
    }),
    Punpcklbw: unpack(1, false),
    Punpcklwd: unpack(2, false),
    Punpckldq: unpack(4, false),
    Punpcklqdq: unpack(8, false),
    Punpckhbw: unpack(1, true),
    Punpckhwd: unpack(2, true),
    Punpckhdq: unpack(4, true),
    Punpckhqdq: unpack(8, true),
    Unpcklps: unpack(4, false),
    Unpckhps: unpack(4, true),
    Unpcklpd: unpack(8, false),
    Unpckhpd: unpack(8, true),
    Packsswb: pack('i16', 'i8', toI8),
    Packssdw: pack('i32', 'i16', toI16),
    Packuswb: pack('i16', 'u8', toU8),
    Packusdw: pack('i32', 'u16', toU16),
    Palignr: palignr,
    Pinsrb: insert(1),
    Pinsrw: insert(2),
    Pinsrd: insert(4),
    Pinsrq: insert(8),
    Pextrb: extract(1),
    Pextrw: extract(2),
    Pextrd: extract(4),
    Pextrq: extract(8),
    Extractps: extract(4),
    Insertps: insertps,
    Pblendw: blend(2),
    Blendps: blend(4),
    Blendpd: blend(8),
    Vpblendd: blend(4),
    Pblendvb: blendByRegister(1),
    Blendvps: blendByRegister(4),
    Blendvpd: blendByRegister(8),
    Vpermq: permuteQuads,
    Vpermpd: permuteQuads,
    Vpermd: permuteWords,
    Vpermps: permuteWords,
    Vperm2f128: permuteHalves,
    Vperm2i128: permuteHalves,
    Vpermilps: permuteInLane(4),
    Vpermilpd: permuteInLane(8),
  }),
};

import type { Cpu } from '../../cpu.ts';
import { FIRST, IMMEDIATE_LOW, MEMORY, SECOND, THIRD, VECTOR } from '../../decode/record.ts';
import {
  effectiveAddress,
  operandKind,
  operandRegister,
  operandSize,
  writeRegister,
} from '../../operands.ts';
import type { Execute, InstructionGroup } from '../group.ts';
import { isVex, left, load, read, requireAligned, result, right, store, width, write } from './lanes.ts';
import { withVex } from './vex.ts';

/** Whole registers; `aligned` ones demand it of memory in every encoding. */
function whole(aligned: boolean): Execute {
  return (cpu, at) => {
    if (aligned) requireAlignedOperand(cpu, at);
    read(cpu, at, SECOND, left, false);
    write(cpu, at, FIRST, left);
  };
}

function requireAlignedOperand(cpu: Cpu, at: number): void {
  for (const operand of [FIRST, SECOND]) {
    if (operandKind(cpu, at, operand) !== MEMORY) continue;
    effectiveAddress(cpu, at);
    const size = operandSize(cpu, at, operand);
    if (size >= 16) requireAligned(cpu, size);
  }
}

/** MOVD and MOVQ: what lies above the moved bytes becomes zero. */
function narrow(bytes: 4 | 8): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left, false);
    if (operandKind(cpu, at, FIRST) === VECTOR) left.i32.fill(0, bytes / 4);
    write(cpu, at, FIRST, left);
  };
}

/** MOVSS and MOVSD: from memory the rest becomes zero, between registers it stays (or comes from the second source). */
function scalar(bytes: 4 | 8): Execute {
  return (cpu, at) => {
    if (operandKind(cpu, at, FIRST) === MEMORY) {
      read(cpu, at, SECOND, left);
      effectiveAddress(cpu, at);
      store(cpu, bytes, left);
    } else if (operandKind(cpu, at, SECOND) === MEMORY) {
      narrow(bytes)(cpu, at);
    } else {
      read(cpu, at, isVex(cpu, at) ? SECOND : FIRST, left);
      read(cpu, at, isVex(cpu, at) ? THIRD : SECOND, right);
      for (let i = 0; i < bytes / 4; i++) left.i32[i] = right.word(i);
      write(cpu, at, FIRST, left);
    }
  };
}

/** One half of an XMM register from (or to) eight bytes; `from` and `to` are word numbers. */
function half(from: 0 | 2, to: 0 | 2): Execute {
  return (cpu, at) => {
    if (operandKind(cpu, at, FIRST) === MEMORY) {
      read(cpu, at, SECOND, left);
      result.i32[0] = left.word(to);
      result.i32[1] = left.word(to + 1);
      effectiveAddress(cpu, at);
      store(cpu, 8, result);
      return;
    }
    const shifted = isVex(cpu, at) ? 1 : 0;
    read(cpu, at, SECOND + shifted, right);
    const start = operandKind(cpu, at, SECOND + shifted) === MEMORY ? 0 : from;
    read(cpu, at, FIRST + shifted, left);
    left.i32[to] = right.word(start);
    left.i32[to + 1] = right.word(start + 1);
    write(cpu, at, FIRST, left);
  };
}

/** Copies words of each 16 bytes by a list of word numbers. */
function duplicate(words: readonly number[]): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left);
    for (let lane = 0; lane < width(cpu, at) / 4; lane += 4) {
      words.forEach((word, index) => {
        result.i32[lane + index] = left.word(lane + word);
      });
    }
    write(cpu, at, FIRST, result);
  };
}

/** The sign bits of all elements, as an integer. */
function signMask(elementBytes: 1 | 4 | 8): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left);
    let mask = 0;
    const count = operandSize(cpu, at, SECOND) / elementBytes;
    for (let i = 0; i < count; i++) {
      mask |= (left.byte((i + 1) * elementBytes - 1) >>> 7) << i;
    }
    writeRegister(cpu, operandRegister(cpu, at, FIRST), operandSize(cpu, at, FIRST), mask, 0);
  };
}

/** Fills the destination with copies of the lowest element. */
function broadcast(bytes: 1 | 2 | 4 | 8 | 16): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left, false);
    for (let i = 0; i < width(cpu, at); i++) result.u8[i] = left.byte(i % bytes);
    write(cpu, at, FIRST, result);
  };
}

function extractHalf(cpu: Cpu, at: number): void {
  read(cpu, at, SECOND, left);
  const from = (cpu.record(at, IMMEDIATE_LOW) & 1) * 4;
  for (let i = 0; i < 4; i++) result.i32[i] = left.word(from + i);
  write(cpu, at, FIRST, result);
}

function insertHalf(cpu: Cpu, at: number): void {
  read(cpu, at, SECOND, left);
  read(cpu, at, THIRD, right);
  const to = (cpu.record(at, IMMEDIATE_LOW) & 1) * 4;
  for (let i = 0; i < 4; i++) left.i32[to + i] = right.word(i);
  write(cpu, at, FIRST, left);
}

/** Moves only the elements whose mask has its sign set; others are zero in a register and untouched in memory. */
function masked(bytes: 4 | 8): Execute {
  return (cpu, at) => {
    read(cpu, at, SECOND, left);
    const loads = operandKind(cpu, at, THIRD) === MEMORY;
    if (!loads) read(cpu, at, THIRD, right);
    effectiveAddress(cpu, at);
    const size = operandSize(cpu, at, SECOND);
    result.i32.fill(0);
    const { addressLow } = cpu;
    for (let i = 0; i < size; i += bytes) {
      if (left.byte(i + bytes - 1) < 128) continue;
      cpu.addressLow = (addressLow + i) | 0;
      for (let word = i / 4; word < (i + bytes) / 4; word++) {
        if (loads) result.i32[word] = cpu.memory.load32(cpu.addressHigh, (addressLow + 4 * word) | 0);
        else cpu.memory.store32(cpu.addressHigh, (addressLow + 4 * word) | 0, right.word(word));
      }
    }
    if (loads) write(cpu, at, FIRST, result);
  };
}

function zeroUpper(cpu: Cpu): void {
  const registers = cpu.bits === 64 ? 16 : 8;
  for (let register = 0; register < registers; register++) {
    cpu.vectors.fill(0, 8 * register + 4, 8 * register + 8);
  }
}

function zeroAll(cpu: Cpu): void {
  cpu.vectors.fill(0, 0, cpu.bits === 64 ? 128 : 64);
}

function loadWhole(cpu: Cpu, at: number): void {
  effectiveAddress(cpu, at);
  left.i32.fill(0);
  load(cpu, operandSize(cpu, at, SECOND), left);
  write(cpu, at, FIRST, left);
}

const aligned = whole(true);
const unaligned = whole(false);

export const VECTOR_MOVE: InstructionGroup = {
  title: 'Vector moves',
  instructions: withVex({
    Movaps: aligned,
    Movapd: aligned,
    Movdqa: aligned,
    Movntdq: aligned,
    Movntps: aligned,
    Movntpd: aligned,
    Movntdqa: aligned,
    Movups: unaligned,
    Movupd: unaligned,
    Movdqu: unaligned,
    Movntq: unaligned,
    Lddqu: loadWhole,
    Movd: narrow(4),
    Movq: narrow(8),
    Movq2dq: narrow(8),
    Movdq2q: narrow(8),
    Movss: scalar(4),
    Movsd: scalar(8),
    Movlps: half(0, 0),
    Movlpd: half(0, 0),
    Movhps: half(0, 2),
    Movhpd: half(0, 2),
    Movhlps: half(2, 0),
    Movlhps: half(0, 2),
    Movddup: duplicate([0, 1, 0, 1]),
    Movshdup: duplicate([1, 1, 3, 3]),
    Movsldup: duplicate([0, 0, 2, 2]),
    Pmovmskb: signMask(1),
    Movmskps: signMask(4),
    Movmskpd: signMask(8),
    Vpbroadcastb: broadcast(1),
    Vpbroadcastw: broadcast(2),
    Vpbroadcastd: broadcast(4),
    Vpbroadcastq: broadcast(8),
    Vbroadcastss: broadcast(4),
    Vbroadcastsd: broadcast(8),
    Vbroadcastf128: broadcast(16),
    Vbroadcasti128: broadcast(16),
    Vextractf128: extractHalf,
    Vextracti128: extractHalf,
    Vinsertf128: insertHalf,
    Vinserti128: insertHalf,
    Vmaskmovps: masked(4),
    Vmaskmovpd: masked(8),
    Vpmaskmovd: masked(4),
    Vpmaskmovq: masked(8),
    Vzeroupper: zeroUpper,
    Vzeroall: zeroAll,
  }),
};

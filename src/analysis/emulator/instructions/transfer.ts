import type { Cpu } from '../cpu.ts';
import { ADDRESS_SIZE, ADDRESSING, FIRST, REGISTER, SECOND, SEGMENT } from '../decode/record.ts';
import { condition } from '../flags.ts';
import {
  loadSized,
  offsetAddress,
  operandKind,
  operandRegister,
  operandSize,
  readOperand,
  signExtend,
  truncate,
  writeOperand,
} from '../operands.ts';
import { CS, RAX, RBX } from '../registers.ts';
import { checkDataSelector } from '../selectors.ts';
import { EmulationStop } from '../stop.ts';
import type { Execute, InstructionGroup, MnemonicName } from './group.ts';

function mov(cpu: Cpu, at: number): void {
  if (operandKind(cpu, at, FIRST) === SEGMENT) {
    loadSegment(cpu, at);
    return;
  }
  const low = readOperand(cpu, at, SECOND);
  writeOperand(cpu, at, FIRST, low, cpu.highWord);
}

function loadSegment(cpu: Cpu, at: number): void {
  const selector = readOperand(cpu, at, SECOND) & 0xffff;
  const segment = operandRegister(cpu, at, FIRST);
  if (segment === CS) throw new EmulationStop({ kind: 'invalid' });
  checkDataSelector(segment, selector);
  writeOperand(cpu, at, FIRST, selector, 0);
}

function movsx(cpu: Cpu, at: number): void {
  const raw = readOperand(cpu, at, SECOND);
  const low = signExtend(cpu, operandSize(cpu, at, SECOND), raw, cpu.highWord);
  writeOperand(cpu, at, FIRST, low, cpu.highWord);
}

function lea(cpu: Cpu, at: number): void {
  offsetAddress(cpu, at);
  const low = truncate(cpu, operandSize(cpu, at, FIRST), cpu.addressLow, cpu.addressHigh);
  writeOperand(cpu, at, FIRST, low, cpu.highWord);
}

/** AL from the table at RBX. */
function xlat(cpu: Cpu, at: number): void {
  const low = (cpu.low(RBX) >>> 0) + (cpu.low(RAX) & 0xff);
  const size = cpu.record(at, ADDRESS_SIZE);
  cpu.addressHigh = size === 8 ? (cpu.high(RBX) + (low > 0xffff_ffff ? 1 : 0)) | 0 : 0;
  cpu.addressLow = size === 2 ? low & 0xffff : low | 0;
  const segment = cpu.record(at, ADDRESSING) >>> 24;
  if (segment !== 0xff) {
    const sum = (cpu.addressLow >>> 0) + ((cpu.segmentBases[2 * segment] ?? 0) >>> 0);
    cpu.addressHigh =
      (cpu.addressHigh + (cpu.segmentBases[2 * segment + 1] ?? 0) + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    cpu.addressLow = sum | 0;
  }
  cpu.general[2 * RAX] = (cpu.low(RAX) & ~0xff) | loadSized(cpu, 1);
}

/** The source is read, and a 32-bit destination's upper half cleared, even when the condition is false. */
function cmov(code: number): Execute {
  return (cpu, at) => {
    const low = readOperand(cpu, at, SECOND);
    const high = cpu.highWord;
    if (condition(cpu, code)) {
      writeOperand(cpu, at, FIRST, low, high);
    } else if (operandKind(cpu, at, FIRST) === REGISTER && operandSize(cpu, at, FIRST) === 4) {
      writeOperand(cpu, at, FIRST, readOperand(cpu, at, FIRST), 0);
    }
  };
}

function set(code: number): Execute {
  return (cpu, at) => writeOperand(cpu, at, FIRST, condition(cpu, code) ? 1 : 0, 0);
}

const CMOV: readonly MnemonicName[] = [
  'Cmovo',
  'Cmovno',
  'Cmovb',
  'Cmovae',
  'Cmove',
  'Cmovne',
  'Cmovbe',
  'Cmova',
  'Cmovs',
  'Cmovns',
  'Cmovp',
  'Cmovnp',
  'Cmovl',
  'Cmovge',
  'Cmovle',
  'Cmovg',
];

const SET: readonly MnemonicName[] = [
  'Seto',
  'Setno',
  'Setb',
  'Setae',
  'Sete',
  'Setne',
  'Setbe',
  'Seta',
  'Sets',
  'Setns',
  'Setp',
  'Setnp',
  'Setl',
  'Setge',
  'Setle',
  'Setg',
];

export const TRANSFER: InstructionGroup = {
  title: 'Moves and conditional moves',
  instructions: {
    Mov: mov,
    Movzx: mov,
    Movsx: movsx,
    Movsxd: movsx,
    Lea: lea,
    Xlatb: xlat,
    ...Object.fromEntries(CMOV.map((name, code) => [name, cmov(code)])),
    ...Object.fromEntries(SET.map((name, code) => [name, set(code)])),
  },
};

import {
  Code,
  EncodingKind,
  FlowControl,
  type Instruction,
  type InstructionInfoFactory,
  MemorySizeExt,
  Mnemonic,
  OpAccess,
  OpCodeOperandKind,
  Register,
} from 'iced-x86';
import { handlerNumber } from '../instructions/table.ts';
import {
  BRANCH,
  FAR_IMMEDIATE,
  FAR_MEMORY,
  IMMEDIATE,
  IS_NOP,
  IS_RETURN,
  IS_VEX,
  KEEPS_VALUE,
  MEMORY,
  NONE,
  operandWord,
} from './record.ts';

/** One operand of a form: how the bytes say what it is. */
export interface OperandForm {
  /** The record's word when the form alone decides it; 0 when a register or memory has to be looked up. */
  readonly word: number;
  /** The word to use when it lies in memory; 0 when it cannot. */
  readonly memoryWord: number;
}

/** What is the same for all instructions of one iced-x86 Code, worked out when the Code is first seen. */
export interface Form {
  /** Number of the executing function, 0 when there is none. */
  readonly handler: number;
  readonly mnemonic: string;
  readonly privileged: boolean;
  readonly flags: number;
  readonly operands: readonly OperandForm[];
  /** Bytes of a stack slot where the operand does not say it; 0 elsewhere. */
  readonly slot: number;
  /** Bytes of the (last) immediate, and of what follows it: ENTER's level, a far pointer's selector. */
  readonly immediateBytes: number;
  readonly secondBytes: number;
  /** The immediate where none is encoded: 1 for the short shifts. */
  readonly immediate: number;
  /** A displacement that is a whole address (MOV with moffs). */
  readonly absolute: boolean;
  /** String instructions, loops and XLAT, whose address size is not that of an explicit operand. */
  readonly implicitAddress: boolean;
  /** MEMORY operands are possible. */
  readonly mayAddress: boolean;
  readonly writesFirst: boolean;
  readonly writesSecond: boolean;
}

const IMMEDIATES: ReadonlyMap<OpCodeOperandKind, { readonly size: number; readonly bytes: number }> = new Map(
  [
    [OpCodeOperandKind.imm8, { size: 1, bytes: 1 }],
    [OpCodeOperandKind.imm8_const_1, { size: 1, bytes: 0 }],
    [OpCodeOperandKind.imm8sex16, { size: 2, bytes: 1 }],
    [OpCodeOperandKind.imm8sex32, { size: 4, bytes: 1 }],
    [OpCodeOperandKind.imm8sex64, { size: 8, bytes: 1 }],
    [OpCodeOperandKind.imm16, { size: 2, bytes: 2 }],
    [OpCodeOperandKind.imm32, { size: 4, bytes: 4 }],
    [OpCodeOperandKind.imm32sex64, { size: 8, bytes: 4 }],
    [OpCodeOperandKind.imm64, { size: 8, bytes: 8 }],
  ],
);

const BRANCH_KINDS: ReadonlyMap<OpCodeOperandKind, { readonly size: number; readonly bytes: number }> =
  new Map([
    [OpCodeOperandKind.br16_1, { size: 2, bytes: 1 }],
    [OpCodeOperandKind.br32_1, { size: 4, bytes: 1 }],
    [OpCodeOperandKind.br64_1, { size: 8, bytes: 1 }],
    [OpCodeOperandKind.br16_2, { size: 2, bytes: 2 }],
    [OpCodeOperandKind.br32_4, { size: 4, bytes: 4 }],
    [OpCodeOperandKind.br64_4, { size: 8, bytes: 4 }],
  ]);

const FAR_KINDS: ReadonlyMap<OpCodeOperandKind, { readonly size: number; readonly bytes: number }> = new Map([
  [OpCodeOperandKind.farbr2_2, { size: 2, bytes: 2 }],
  [OpCodeOperandKind.farbr4_2, { size: 4, bytes: 4 }],
]);

/** Far pointers in memory, by the size of their offset. */
const FAR_CODES: ReadonlyMap<Code, number> = new Map([
  [Code.Call_m1616, 2],
  [Code.Call_m1632, 4],
  [Code.Call_m1664, 8],
  [Code.Jmp_m1616, 2],
  [Code.Jmp_m1632, 4],
  [Code.Jmp_m1664, 8],
]);

const MEMORY_KINDS: ReadonlySet<OpCodeOperandKind> = new Set([
  OpCodeOperandKind.mem,
  OpCodeOperandKind.mem_offs,
  OpCodeOperandKind.r8_or_mem,
  OpCodeOperandKind.r16_or_mem,
  OpCodeOperandKind.r32_or_mem,
  OpCodeOperandKind.r64_or_mem,
  OpCodeOperandKind.mm_or_mem,
  OpCodeOperandKind.xmm_or_mem,
  OpCodeOperandKind.ymm_or_mem,
]);

/** Kinds of memory operand that are implied by RSI, RDI or RBX. */
const IMPLICIT_KINDS: ReadonlySet<OpCodeOperandKind> = new Set([
  OpCodeOperandKind.seg_rSI,
  OpCodeOperandKind.es_rDI,
  OpCodeOperandKind.seg_rDI,
  OpCodeOperandKind.seg_rBX_al,
]);

const COUNTED: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Loop,
  Mnemonic.Loope,
  Mnemonic.Loopne,
  Mnemonic.Jcxz,
  Mnemonic.Jecxz,
  Mnemonic.Jrcxz,
]);

const VECTOR_KIND = /^[xy]?mmp?3?_|^mm_/;

/** `Pushq_imm8`, `Retnd`, `Enterw_imm16_imm8`: the letter says how wide a stack slot is. */
const SLOT_SUFFIX = /^(?:Push|Pop|Retn|Retf|Enter|Leave|Iret)([wdq])(?:_|$)/;
const SLOT_SIZES: Readonly<Record<string, number>> = { w: 2, d: 4, q: 8 };

/** Works out the form of an instruction's Code. */
export function formOf(instruction: Instruction, infoFactory: InstructionInfoFactory): Form {
  const info = instruction.opCode;
  try {
    const kinds = [info.op0Kind, info.op1Kind, info.op2Kind, info.op3Kind].slice(
      0,
      Math.min(info.opCount, 4),
    );
    const code = instruction.code;
    const memorySize = MemorySizeExt.size(instruction.memorySize) || MemorySizeExt.size(info.memorySize);
    const slot = SLOT_SIZES[SLOT_SUFFIX.exec(Code[code] ?? '')?.[1] ?? ''];
    const operands = kinds.map((kind) => operandForm(kind, memorySize, slot, FAR_CODES.get(code)));
    if (operands.length === 0 && slot !== undefined) {
      operands.push({ word: operandWord(NONE, 0, slot), memoryWord: 0 });
    }
    if (kinds.some((kind) => IMPLICIT_KINDS.has(kind))) {
      operands[0] = { word: operandWord(NONE, 0, memorySize), memoryWord: 0 };
    }
    const immediates = kinds.filter((kind) => immediateOf(kind) !== undefined || isInImmediate(kind));
    const first = immediates[0];
    const second = immediates[1];
    const access = accessOf(instruction, infoFactory);
    return {
      handler: isEncodable(info.encoding) && operands.every(isKnown) ? handler(instruction, kinds) : 0,
      mnemonic: (Mnemonic[instruction.mnemonic] ?? 'invalid').toUpperCase(),
      privileged: instruction.isPrivileged,
      flags: staticFlags(instruction, info.encoding) | (access.keepsValue ? KEEPS_VALUE : 0),
      operands,
      slot: slot ?? 0,
      immediateBytes: first === undefined ? 0 : (immediateOf(first)?.bytes ?? 1),
      secondBytes: first !== undefined && FAR_KINDS.has(first) ? 2 : second === undefined ? 0 : 1,
      immediate: first === OpCodeOperandKind.imm8_const_1 ? 1 : 0,
      absolute: kinds.includes(OpCodeOperandKind.mem_offs),
      implicitAddress: kinds.some((kind) => IMPLICIT_KINDS.has(kind)) || COUNTED.has(instruction.mnemonic),
      mayAddress: kinds.some((kind) => MEMORY_KINDS.has(kind)),
      writesFirst: access.first,
      writesSecond: access.second,
    };
  } finally {
    info.free();
  }
}

function handler(instruction: Instruction, kinds: readonly OpCodeOperandKind[]): number {
  const onVectors = kinds.some((kind) => VECTOR_KIND.test(OpCodeOperandKind[kind] ?? ''));
  return handlerNumber(instruction.mnemonic, onVectors);
}

function isEncodable(encoding: EncodingKind): boolean {
  return encoding === EncodingKind.Legacy || encoding === EncodingKind.VEX;
}

/** Operands that nothing here can hold (mask, bound, tile and control registers, gathers) have no word. */
function isKnown(operand: OperandForm): boolean {
  return operand.word !== UNKNOWN;
}

const UNKNOWN = -1;
const UNKNOWN_KIND =
  /^(k|kp1|bnd|cr|dr|tr|tmm|zmm|zmmp3|xmmp3)_|^mem_vsib|^mem_mpx|^mem_mib|^sibmem|^xbegin|^brdisp|_mpx$|^imm4/;

function immediateOf(kind: OpCodeOperandKind): { readonly size: number; readonly bytes: number } | undefined {
  return IMMEDIATES.get(kind) ?? BRANCH_KINDS.get(kind) ?? FAR_KINDS.get(kind);
}

/** A vector register named by the upper half of the immediate byte. */
function isInImmediate(kind: OpCodeOperandKind): boolean {
  return kind === OpCodeOperandKind.xmm_is4 || kind === OpCodeOperandKind.ymm_is4;
}

function operandForm(
  kind: OpCodeOperandKind,
  memorySize: number,
  slot: number | undefined,
  farSize: number | undefined,
): OperandForm {
  if (UNKNOWN_KIND.test(OpCodeOperandKind[kind] ?? '')) return { word: UNKNOWN, memoryWord: 0 };
  const immediate = IMMEDIATES.get(kind);
  if (immediate !== undefined) {
    return { word: operandWord(IMMEDIATE, 0, slot ?? immediate.size), memoryWord: 0 };
  }
  const branch = BRANCH_KINDS.get(kind);
  if (branch !== undefined) return { word: operandWord(BRANCH, 0, branch.size), memoryWord: 0 };
  const far = FAR_KINDS.get(kind);
  if (far !== undefined) return { word: operandWord(FAR_IMMEDIATE, 0, far.size), memoryWord: 0 };
  if (farSize !== undefined) return { word: 0, memoryWord: operandWord(FAR_MEMORY, 0, farSize) };
  return { word: 0, memoryWord: MEMORY_KINDS.has(kind) ? operandWord(MEMORY, 0, memorySize) : 0 };
}

const NOPS: ReadonlySet<Mnemonic> = new Set([Mnemonic.Nop, Mnemonic.Reservednop]);

function staticFlags(instruction: Instruction, encoding: EncodingKind): number {
  return (
    (encoding === EncodingKind.VEX ? IS_VEX : 0) |
    (NOPS.has(instruction.mnemonic) ? IS_NOP : 0) |
    (instruction.flowControl === FlowControl.Return ? IS_RETURN : 0)
  );
}

const WRITING: ReadonlySet<OpAccess> = new Set([
  OpAccess.Write,
  OpAccess.CondWrite,
  OpAccess.ReadWrite,
  OpAccess.ReadCondWrite,
]);

/** What an instruction writes: its first and second operand, and whether it writes anything but RSP and flags. */
function accessOf(
  instruction: Instruction,
  infoFactory: InstructionInfoFactory,
): { first: boolean; second: boolean; keepsValue: boolean } {
  const info = infoFactory.info(instruction);
  const registers = info.usedRegisters();
  const memory = info.usedMemory();
  try {
    const isCall =
      instruction.flowControl === FlowControl.Call || instruction.flowControl === FlowControl.IndirectCall;
    const keepsValue =
      registers.some((used) => WRITING.has(used.access) && !isStackPointer(used.register)) ||
      memory.some((used) => WRITING.has(used.access) && !isCall);
    return { first: WRITING.has(info.op0Access), second: WRITING.has(info.op1Access), keepsValue };
  } finally {
    for (const used of registers) used.free();
    for (const used of memory) used.free();
    info.free();
  }
}

function isStackPointer(register: Register): boolean {
  return register === Register.RSP || register === Register.ESP || register === Register.SP;
}

import { Code, EncodingKind, Instruction, MemorySizeExt, Mnemonic, OpCodeOperandKind } from 'iced-x86';
import type { InstructionGroup, MnemonicName } from '../../../../src/analysis/emulator/instructions/group.ts';
import { INSTRUCTION_GROUPS, VECTOR_GROUPS } from '../../../../src/analysis/emulator/instructions/table.ts';

/** Why a mnemonic of the table is not compared with the host CPU; the unit tests cover these. */
export const NOT_COMPARED: ReadonlyMap<string, string> = new Map([
  ...named('enters the kernel', ['Syscall', 'Sysenter', 'Int']),
  ...named('differs from CPU to CPU or time to time', [
    'Cpuid',
    'Rdtsc',
    'Rdtscp',
    'Xgetbv',
    'Rdrand',
    'Rdseed',
    'Rdpid',
    'Rdsspd',
    'Rdsspq',
  ]),
  ...named('depends on or changes the thread segment', ['Rdfsbase', 'Rdgsbase', 'Wrfsbase', 'Wrgsbase']),
  ...named('ends a case', ['Int1', 'Int3', 'Ud0', 'Ud1', 'Ud2']),
  ...named('stores the x87 state, of which only addresses are kept', [
    'Fnstenv',
    'Fstenv',
    'Fnsave',
    'Fsave',
    'Fxsave',
    'Fxsave64',
    'Fnstsw',
    'Fstsw',
    'Fldcw',
    'Ldmxcsr',
    'Vldmxcsr',
  ]),
  ...named('an alias that the decoder does not report', ['Sal', 'Fstcw', 'Finit', 'Fclex', 'Fnstcw']),
  ...named('transfers control: compared in handwritten sequences', [
    'Jmp',
    'Call',
    'Ret',
    'Retf',
    'Iretd',
    'Iretq',
    'Loop',
    'Loope',
    'Loopne',
    'Jcxz',
    'Jecxz',
    'Jrcxz',
    ...['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'].map(
      (c) => `J${c}`,
    ),
  ]),
]);

function named(reason: string, names: readonly string[]): [string, string][] {
  return names.map((name) => [name, reason]);
}

/** One encodable form of a mnemonic of the table. */
export interface Candidate {
  readonly name: string;
  readonly code: Code;
  readonly kinds: readonly OpCodeOperandKind[];
  readonly memoryBytes: number;
  readonly isVector: boolean;
}

const UNUSABLE =
  /^(farbr|br\d|k_|kp1|bnd|cr_|dr_|tr_|tmm|zmm|mem_vsib|mem_mpx|mem_mib|sibmem|xbegin|brdisp|seg_rDI|imm4|mem_offs)|_mpx/;

function mnemonics(groups: readonly InstructionGroup[]): ReadonlyMap<number, string> {
  const names = groups.flatMap(({ instructions }) => Object.keys(instructions) as MnemonicName[]);
  return new Map(names.filter((name) => !NOT_COMPARED.has(name)).map((name) => [Mnemonic[name], name]));
}

/** Every form that a mode can encode, of every mnemonic that is compared. */
export function candidates(bits: 32 | 64): Candidate[] {
  const scalars = mnemonics(INSTRUCTION_GROUPS);
  const vectors = mnemonics(VECTOR_GROUPS);
  const found: Candidate[] = [];
  const instruction = new Instruction();
  for (const code of Object.values(Code)) {
    if (typeof code !== 'number') continue;
    instruction.code = code;
    const info = instruction.opCode;
    const kinds = [info.op0Kind, info.op1Kind, info.op2Kind, info.op3Kind].slice(0, info.opCount);
    const isVector = kinds.some((kind) => /^[xy]?mm/.test(OpCodeOperandKind[kind] ?? ''));
    const name =
      (isVector ? undefined : scalars.get(instruction.mnemonic)) ?? vectors.get(instruction.mnemonic);
    const encoding = info.encoding;
    const isFine =
      (encoding === EncodingKind.Legacy || encoding === EncodingKind.VEX) &&
      info.isAvailableInMode(bits) &&
      !instruction.isPrivileged &&
      info.decoderOption === 0 &&
      !kinds.some((kind) => UNUSABLE.test(OpCodeOperandKind[kind] ?? ''));
    if (isFine && name !== undefined) {
      found.push({ name, code, kinds, memoryBytes: MemorySizeExt.size(info.memorySize), isVector });
    }
    info.free();
  }
  instruction.free();
  return found;
}

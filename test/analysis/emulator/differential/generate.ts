import {
  Code,
  Encoder,
  EncodingKind,
  Instruction,
  MemorySizeExt,
  Mnemonic,
  OpCodeOperandKind,
  OpKind,
  Register,
} from 'iced-x86';
import type { InstructionGroup, MnemonicName } from '../../../../src/analysis/emulator/instructions/group.ts';
import { INSTRUCTION_GROUPS, VECTOR_GROUPS } from '../../../../src/analysis/emulator/instructions/table.ts';
import { type Case, CODE, DATA, DATA_SIZE, emptyState, STACK } from './host-cpu.ts';
import type { Random } from './random.ts';

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

/** General registers by width, in hardware order. */
const GENERAL: Readonly<Record<number, Register>> = {
  1: Register.AL,
  2: Register.AX,
  4: Register.EAX,
  8: Register.RAX,
};

/** Which registers a case may use for what, so that every address it forms is valid. */
interface Roles {
  readonly operands: readonly number[];
  readonly bases: readonly number[];
  readonly index: number;
}

const SINGLE_64: Roles = {
  operands: [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  bases: [3, 5, 6, 7, 12, 13, 15],
  index: 9,
};
const SINGLE_32: Roles = { operands: [0, 1, 2, 3, 5, 6, 7], bases: [3, 6, 7], index: 5 };
const SEQUENCE_64: Roles = { operands: [0, 1, 2, 8, 9, 10, 11, 15], bases: [3, 6, 12, 13], index: 14 };
const SEQUENCE_32: Roles = { operands: [0, 1, 2], bases: [3, 6], index: 5 };

/** In the middle of the data, which crosses a page there. */
const MIDDLE = DATA + DATA_SIZE / 2;

/** Encodes random instructions, and makes the state in which they can run. */
export class Generator {
  readonly #random: Random;
  readonly #bits: 32 | 64;

  constructor(random: Random, bits: 32 | 64) {
    this.#random = random;
    this.#bits = bits;
  }

  /** One instruction of a form; undefined when the random operands cannot be encoded together. */
  single(candidate: Candidate): Case | undefined {
    const roles = this.#bits === 64 ? SINGLE_64 : SINGLE_32;
    const encoded = this.#encode(candidate, roles);
    if (encoded === undefined) return undefined;
    const state = this.#state(roles);
    encoded.adjust(state.general);
    return { bits: this.#bits, code: encoded.bytes, state };
  }

  /** Several instructions one after the other; flags that one leaves undefined are not read by the next. */
  sequence(all: readonly Candidate[], length: number): { test: Case; undefinedFlags: number } {
    const roles = this.#bits === 64 ? SEQUENCE_64 : SEQUENCE_32;
    const parts: number[] = [];
    let undefinedFlags = 0;
    for (let tries = 0, count = 0; count < length && tries < 50; tries++) {
      const candidate = this.#random.pick(all);
      if (NOT_IN_SEQUENCES.test(candidate.name)) continue;
      const encoded = this.#encode(candidate, roles);
      if (encoded === undefined || encoded.bytes.length + parts.length > 100) continue;
      if ((encoded.flagsRead & undefinedFlags) !== 0) continue;
      undefinedFlags = (undefinedFlags | encoded.flagsUndefined) & ~encoded.flagsSet;
      if (SHIFTS.test(candidate.name)) undefinedFlags |= encoded.flagsUndefined | encoded.flagsSet;
      parts.push(...encoded.bytes);
      count++;
    }
    return {
      test: { bits: this.#bits, code: Uint8Array.from(parts), state: this.#state(roles) },
      undefinedFlags,
    };
  }

  /** Given code, in a random state. */
  withCode(code: Uint8Array): Case {
    return { bits: this.#bits, code, state: this.#state(this.#bits === 64 ? SEQUENCE_64 : SEQUENCE_32) };
  }

  #state(roles: Roles): Case['state'] {
    const random = this.#random;
    const state = emptyState();
    const mask = this.#bits === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
    for (let register = 0; register < (this.#bits === 64 ? 16 : 8); register++) {
      state.general[register] = random.value() & mask;
    }
    for (const base of roles.bases) state.general[base] = BigInt(MIDDLE + 16 * (random.below(8) - 4));
    if (roles !== SINGLE_64 && roles !== SINGLE_32) state.general[roles.index] = BigInt(random.below(8));
    state.general[4] = BigInt(STACK + 0x100 + 8 * random.below(4));
    state.flags = BigInt(0x202 | (random.word() & 0x8d5) | (random.chance(0.2) ? 0x400 : 0));
    for (let i = 0; i < 8; i++) state.mmx[i] = random.value();
    state.vectors.set(random.bytes(state.vectors.length));
    if (random.chance(0.3)) smallFloats(state.vectors, random);
    state.data.set(random.bytes(state.data.length));
    const slots = new DataView(state.stack.buffer);
    for (let at = 0; at < state.stack.length; at += 8) slots.setBigUint64(at, random.value() & ~POISON, true);
    return state;
  }

  #encode(candidate: Candidate, roles: Roles): Encoded | undefined {
    const builder = new Builder(this.#random, this.#bits, candidate, roles);
    return builder.encode();
  }
}

/** TF and AC in anything that POPF may take: they would raise signals of their own. */
const POISON = 0x0004_0100_0004_0100n | 0x0000_0000_0004_0000n;
const NOT_IN_SEQUENCES =
  /^(Movs[bwdq]|Stos|Lods|Scas|Cmps[bwdq]|Xlat|Enter|Leave|Pop|Push|Div|Idiv|Cmpxchg|Bt|F|Wait|Into|Aam|Vzero|Emms|Mask|Vmask|Std|Sh[lr]d|Bound|L[defgs]s$)/;
const SHIFTS = /^(Shl|Shr|Sar|Rol|Ror|Rcl|Rcr|Shld|Shrd)$/;

function smallFloats(vectors: Uint8Array, random: Random): void {
  const view = new DataView(vectors.buffer, vectors.byteOffset);
  for (let at = 0; at < vectors.length; at += 4) view.setFloat32(at, random.below(2000) / 8 - 100, true);
}

interface Encoded {
  readonly bytes: Uint8Array;
  readonly flagsRead: number;
  readonly flagsUndefined: number;
  readonly flagsSet: number;
  /** Sets the registers that the instruction needs to have certain values. */
  adjust(general: BigUint64Array): void;
}

/** Builds one instruction, operand by operand. */
class Builder {
  readonly #random: Random;
  readonly #bits: 32 | 64;
  readonly #candidate: Candidate;
  readonly #roles: Roles;
  readonly #needs = new Map<number, bigint>();

  constructor(random: Random, bits: 32 | 64, candidate: Candidate, roles: Roles) {
    this.#random = random;
    this.#bits = bits;
    this.#candidate = candidate;
    this.#roles = roles;
  }

  encode(): Encoded | undefined {
    const instruction = new Instruction();
    const encoder = new Encoder(this.#bits);
    try {
      instruction.code = this.#candidate.code;
      for (const [operand, kind] of this.#candidate.kinds.entries())
        this.#operand(instruction, operand, kind);
      if (this.#candidate.isVector) {
        // No repeat prefix: it would be another instruction.
      } else if (/^(Movs|Stos|Lods)[bwdq]/.test(this.#candidate.name) && this.#random.chance(0.5)) {
        instruction.hasRepPrefix = true;
      } else if (/^(Scas|Cmps)[bwdq]/.test(this.#candidate.name) && this.#random.chance(0.6)) {
        if (this.#random.chance(0.5)) instruction.hasRepPrefix = true;
        else instruction.hasRepnePrefix = true;
      }
      encoder.encode(instruction, BigInt(CODE));
      const bytes = encoder.takeBuffer();
      this.#needForImplicit();
      return {
        bytes,
        flagsRead: instruction.rflagsRead,
        flagsUndefined: instruction.rflagsUndefined,
        flagsSet: instruction.rflagsModified & ~instruction.rflagsUndefined,
        adjust: (general) => {
          for (const [register, value] of this.#needs) general[register] = value;
        },
      };
    } catch {
      return undefined;
    } finally {
      encoder.free();
      instruction.free();
    }
  }

  #operand(instruction: Instruction, operand: number, kind: OpCodeOperandKind): void {
    const name = OpCodeOperandKind[kind] ?? '';
    const memory = /_or_mem$/.test(name) ? this.#random.chance(0.5) : name === 'mem';
    if (memory) {
      instruction.setOpKind(operand, OpKind.Memory);
      this.#memory(instruction);
      return;
    }
    const immediate =
      operand === 1 && this.#candidate.name === 'Enter' ? OpKind.Immediate8_2nd : IMMEDIATE_KINDS[name];
    if (immediate !== undefined) {
      instruction.setOpKind(operand, immediate);
      this.#immediate(instruction, operand, immediate, name);
      return;
    }
    const implicit = this.#implicitKind(name);
    if (implicit !== undefined) {
      instruction.setOpKind(operand, implicit);
      if (name === 'seg_rBX_al') {
        instruction.memoryBase = this.#bits === 64 ? Register.RBX : Register.EBX;
        instruction.memoryIndex = Register.AL;
      }
      return;
    }
    instruction.setOpKind(operand, OpKind.Register);
    instruction.setOpRegister(operand, this.#register(name));
  }

  #implicitKind(name: string): OpKind | undefined {
    if (name === 'seg_rSI') return this.#bits === 64 ? OpKind.MemorySegRSI : OpKind.MemorySegESI;
    if (name === 'es_rDI') return this.#bits === 64 ? OpKind.MemoryESRDI : OpKind.MemoryESEDI;
    return name === 'seg_rBX_al' ? OpKind.Memory : undefined;
  }

  #register(name: string): Register {
    const fixed = FIXED[name];
    if (fixed !== undefined) return fixed;
    const random = this.#random;
    const width = /^r(8|16|32|64)_/.exec(name)?.[1];
    if (width !== undefined) {
      const size = Number(width) / 8;
      const number = random.pick(this.#roles.operands);
      if (size === 1) return this.#byteRegister(number);
      return (GENERAL[size] ?? 0) + number;
    }
    const count = this.#bits === 64 ? 16 : 8;
    if (name.startsWith('xmm')) return Register.XMM0 + random.below(count);
    if (name.startsWith('ymm')) return Register.YMM0 + random.below(count);
    if (name.startsWith('mm')) return Register.MM0 + random.below(8);
    if (name.startsWith('st')) return Register.ST0 + random.below(8);
    if (name === 'seg_reg') return Register.ES + random.pick(this.#bits === 64 ? [0, 3] : [0, 3]);
    throw new Error(`no register for ${name}`);
  }

  /** AL to BL, AH to BH, SPL to DIL, R8L to R15L. */
  #byteRegister(number: number): Register {
    if (number < 4) return this.#random.chance(0.3) ? Register.AH + number : Register.AL + number;
    if (this.#bits === 32) return Register.AL + this.#random.pick([0, 1, 2]);
    return Register.SPL + (number - 4);
  }

  #immediate(instruction: Instruction, operand: number, kind: OpKind, name: string): void {
    const random = this.#random;
    if (name === 'imm8_const_1') {
      instruction.setImmediateU32(operand, 1);
      return;
    }
    switch (kind) {
      case OpKind.Immediate8:
      case OpKind.Immediate8_2nd:
        instruction.setImmediateU32(operand, random.below(BYTE_LIMITS[this.#candidate.name] ?? 256));
        break;
      case OpKind.Immediate16:
        instruction.setImmediateU32(
          operand,
          /^Enter/.test(this.#candidate.name) ? random.below(64) : random.below(65536),
        );
        break;
      case OpKind.Immediate32:
        instruction.setImmediateU32(operand, Number(random.value() & 0xffff_ffffn));
        break;
      case OpKind.Immediate64:
        instruction.setImmediateU64(operand, random.value());
        break;
      case OpKind.Immediate32to64:
        instruction.setImmediateI64(operand, BigInt(random.word() | 0));
        break;
      default:
        instruction.setImmediateI64(operand, BigInt(random.below(256) - 128));
    }
  }

  /** Base alone, with displacement, with index, or relative to the instruction pointer: always inside the data. */
  #memory(instruction: Instruction): void {
    const random = this.#random;
    const base = random.pick(this.#roles.bases);
    const isAligned = this.#candidate.isVector;
    const wide = this.#bits === 64 ? Register.RAX : Register.EAX;
    instruction.memoryBase = wide + base;
    this.#needs.set(base, BigInt(MIDDLE + 16 * (random.below(8) - 4)));
    if (random.chance(0.3)) {
      instruction.memoryIndex = wide + this.#roles.index;
      instruction.memoryIndexScale = isAligned ? 8 : random.pick([1, 2, 4, 8]);
      this.#needs.set(this.#roles.index, BigInt(isAligned ? 2 * random.below(8) : random.below(16)));
      if (isAligned && this.#roles.operands.length < 9) instruction.memoryIndex = Register.None;
    }
    const displacement = isAligned ? 16 * (random.below(8) - 4) : random.below(64) - 32;
    if (random.chance(0.6)) {
      instruction.memoryDisplSize = random.chance(0.2) ? (this.#bits === 64 ? 8 : 4) : 1;
      instruction.memoryDisplacement = BigInt.asUintN(64, BigInt(displacement));
    }
  }

  /** String instructions, XLAT, LEAVE and bit strings take their address from registers that no operand names. */
  #needForImplicit(): void {
    const random = this.#random;
    const name = this.#candidate.name;
    if (/^(Movs|Stos|Lods|Scas|Cmps)[bwdq]/.test(name) || /Maskmov/i.test(name)) {
      this.#needs.set(6, BigInt(MIDDLE + random.below(32) - 16));
      this.#needs.set(7, BigInt(MIDDLE + random.below(32) - 16));
      this.#needs.set(1, BigInt(random.below(12)));
    }
    if (/^Sh[lr]d$/.test(name)) this.#needs.set(1, BigInt(random.below(17)));
    if (name === 'Xlatb') this.#needs.set(3, BigInt(MIDDLE - 128));
    if (name === 'Leave' || name === 'Enter') this.#needs.set(5, BigInt(STACK + 0x100));
    if (/^(Div|Idiv)$/.test(name) && random.chance(0.7)) this.#needs.set(2, BigInt(random.below(3)));
    if (/^Bt[scr]?$/.test(name)) this.#limitBitIndex();
  }

  /** The bit number may reach 100 bytes to either side of the operand. */
  #limitBitIndex(): void {
    const index = BigInt(this.#random.below(1600) - 800);
    const mask = this.#bits === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
    for (const register of this.#roles.operands) {
      if (!this.#needs.has(register)) this.#needs.set(register, index & mask);
    }
  }
}

/** Levels of ENTER that fit the stack; counts beyond 16 leave a 16-bit operand undefined. */
const BYTE_LIMITS: Readonly<Record<string, number>> = { Enter: 4, Shld: 17, Shrd: 17 };

const IMMEDIATE_KINDS: Readonly<Record<string, OpKind>> = {
  imm8: OpKind.Immediate8,
  imm8_const_1: OpKind.Immediate8,
  imm8sex16: OpKind.Immediate8to16,
  imm8sex32: OpKind.Immediate8to32,
  imm8sex64: OpKind.Immediate8to64,
  imm16: OpKind.Immediate16,
  imm32: OpKind.Immediate32,
  imm32sex64: OpKind.Immediate32to64,
  imm64: OpKind.Immediate64,
};

const FIXED: Readonly<Record<string, Register>> = {
  al: Register.AL,
  cl: Register.CL,
  ax: Register.AX,
  dx: Register.DX,
  eax: Register.EAX,
  rax: Register.RAX,
  st0: Register.ST0,
  es: Register.ES,
  cs: Register.CS,
  ss: Register.SS,
  ds: Register.DS,
  fs: Register.FS,
  gs: Register.GS,
};

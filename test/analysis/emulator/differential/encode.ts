import { Encoder, Instruction, OpCodeOperandKind, OpKind, Register } from 'iced-x86';
import type { Random } from '../../../../lab/random.ts';
import type { Candidate } from './candidates.ts';
import { CODE, DATA, DATA_SIZE, STACK } from './host-cpu.ts';

/** General registers by width, in hardware order. */
const GENERAL: Readonly<Record<number, Register>> = {
  1: Register.AL,
  2: Register.AX,
  4: Register.EAX,
  8: Register.RAX,
};

/** Which registers a case may use for what, so that every address it forms is valid. */
export interface Roles {
  readonly operands: readonly number[];
  readonly bases: readonly number[];
  readonly index: number;
}

/** In the middle of the data, which crosses a page there. */
export const MIDDLE = DATA + DATA_SIZE / 2;

/** An instruction's bytes, and what they ask of the state that they run in. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly flagsRead: number;
  readonly flagsUndefined: number;
  readonly flagsSet: number;
  /** Sets the registers that the instruction needs to have certain values. */
  adjust(general: BigUint64Array): void;
}

/** Builds one instruction, operand by operand. */
export class InstructionBuilder {
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

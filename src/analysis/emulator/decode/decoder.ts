import { Code, type Decoder, Instruction, InstructionInfoFactory, Mnemonic, Register } from 'iced-x86';
import { FS, GS, RSP } from '../registers.ts';
import { type Form, formOf } from './form.ts';
import {
  ADDRESS_SIZE,
  ADDRESSING,
  CODE,
  DISPLACEMENT_HIGH,
  DISPLACEMENT_LOW,
  FIRST,
  HANDLER,
  IMMEDIATE_HIGH,
  IMMEDIATE_LOW,
  INSTRUCTION_POINTER,
  IS_REP,
  IS_REPNE,
  LENGTH,
  NO_REGISTER,
  NONE,
  operandWord,
  REGISTER,
  RUNS,
  SECOND,
  SEGMENT,
  WRITES_REGISTER,
  WRITES_STACK_POINTER,
} from './record.ts';
import { addressRegister, REGISTER_WORDS } from './register-words.ts';

/** Why there is no record. */
export type Undecoded =
  | { readonly kind: 'invalid' }
  | { readonly kind: 'unsupported'; readonly mnemonic: string }
  | { readonly kind: 'privileged'; readonly mnemonic: string };

const FORMS: (Form | undefined)[] = [];
const INVALID: Undecoded = { kind: 'invalid' };

/**
 * Turns iced-x86's instructions into records. Only what depends on the very bytes is asked of iced-x86;
 * displacements and immediates are taken from the bytes, as iced-x86 hands 64-bit values out as BigInt.
 */
export class RecordDecoder implements Disposable {
  readonly #instruction = new Instruction();
  readonly #infoFactory = new InstructionInfoFactory();

  [Symbol.dispose](): void {
    this.#instruction.free();
    this.#infoFactory.free();
  }

  /** Decodes at the decoder's position; the instruction's length, or 0 when more bytes are needed or it is invalid. */
  decode(decoder: Decoder): number {
    decoder.decodeOut(this.#instruction);
    return this.#instruction.code === Code.INVALID ? 0 : this.#instruction.length;
  }

  /**
   * Writes the record of the instruction that was just decoded.
   *
   * @param bytes where the instruction lies, from `start` on
   */
  fill(
    records: Int32Array,
    at: number,
    bytes: Uint8Array,
    start: number,
    bits: 32 | 64,
  ): Undecoded | undefined {
    const instruction = this.#instruction;
    const code = instruction.code;
    if (code === Code.INVALID) return INVALID;
    let form = FORMS[code];
    if (form === undefined) {
      form = formOf(instruction, this.#infoFactory);
      FORMS[code] = form;
    }
    if (form.handler === 0) {
      return { kind: form.privileged ? 'privileged' : 'unsupported', mnemonic: form.mnemonic };
    }
    const length = instruction.length;
    records[at + HANDLER] = form.handler;
    records[at + RUNS] = 0;
    records[at + CODE] = code;
    records[at + ADDRESSING] = -1;
    const addressed = this.#fillOperands(records, at, form);
    this.#fillImmediate(records, at, form, bytes, start + length);
    if (addressed) this.#fillAddress(records, at, form, bytes, start + length, bits);
    else if (form.implicitAddress) this.#fillImplicitAddress(records, at, bits);
    records[at + LENGTH] = length | form.flags | this.#dynamicFlags(records, at, form, bits);
    return undefined;
  }

  #fillOperands(records: Int32Array, at: number, form: Form): boolean {
    const instruction = this.#instruction;
    let addressed = false;
    for (let i = 0; i < 4; i++) {
      const operand = form.operands[i];
      let word = operand?.word ?? operandWord(NONE, 0, 0);
      if (operand !== undefined && word === 0) {
        const register = registerOf(instruction, i);
        if (register !== Register.None) {
          word = REGISTER_WORDS[register] ?? 0;
          if (form.slot !== 0 && (word & 0xff) === SEGMENT) word = (word & 0xffff) | (form.slot << 16);
        } else {
          word = operand.memoryWord;
          addressed ||= word !== 0;
        }
      }
      records[at + FIRST + i] = word;
    }
    return addressed;
  }

  #fillImmediate(records: Int32Array, at: number, form: Form, bytes: Uint8Array, end: number): void {
    let low = form.immediate;
    let high = 0;
    const from = end - form.secondBytes - form.immediateBytes;
    if (form.immediateBytes !== 0) {
      low = signedAt(bytes, from, Math.min(form.immediateBytes, 4));
      high = form.immediateBytes === 8 ? signedAt(bytes, from + 4, 4) : low >> 31;
    }
    records[at + IMMEDIATE_LOW] = low;
    records[at + IMMEDIATE_HIGH] = high;
    if (form.secondBytes !== 0) {
      const second = signedAt(bytes, end - form.secondBytes, form.secondBytes) & 0xffff;
      records[at + CODE] = (records[at + CODE] ?? 0) | (second << 16);
    }
  }

  #fillAddress(
    records: Int32Array,
    at: number,
    form: Form,
    bytes: Uint8Array,
    end: number,
    bits: number,
  ): void {
    const instruction = this.#instruction;
    const base = instruction.memoryBase;
    const index = instruction.memoryIndex;
    const stated = instruction.memoryDisplSize;
    const isRelative = base === Register.RIP || base === Register.EIP;
    const size = isRelative ? (base === Register.RIP ? 8 : 4) : addressSize(base, index, stated, bits);
    const displacementBytes = form.absolute || stated < 8 ? stated : 4;
    const from = end - form.immediateBytes - form.secondBytes - displacementBytes;
    const low = displacementBytes === 0 ? 0 : signedAt(bytes, from, Math.min(displacementBytes, 4));
    records[at + DISPLACEMENT_LOW] = low;
    records[at + DISPLACEMENT_HIGH] = displacementBytes === 8 ? signedAt(bytes, from + 4, 4) : low >> 31;
    records[at + ADDRESS_SIZE] = size;
    const baseNumber = isRelative
      ? INSTRUCTION_POINTER
      : base === Register.None
        ? NO_REGISTER
        : addressRegister(base).number;
    const indexNumber = index === Register.None ? NO_REGISTER : addressRegister(index).number;
    const shift = indexNumber === NO_REGISTER ? 0 : 31 - Math.clz32(instruction.memoryIndexScale);
    records[at + ADDRESSING] = baseNumber | (indexNumber << 8) | (shift << 16) | (this.#segment() << 24);
  }

  /** Of string instructions, loops and XLAT. */
  #fillImplicitAddress(records: Int32Array, at: number, bits: number): void {
    const text = Code[this.#instruction.code] ?? '';
    let size = bits / 8;
    if (this.#instruction.memorySize === 0) {
      size = /R?CX$/.test(text) || text.startsWith('J') ? countSize(text) : size;
    } else {
      size = IMPLICIT_SIZES[Math.max(this.#instruction.op0Kind, this.#instruction.op1Kind)] ?? size;
      if (text.startsWith('Xlat')) size = addressRegister(this.#instruction.memoryBase).size;
    }
    records[at + ADDRESS_SIZE] = size;
    records[at + ADDRESSING] = (this.#segment() << 24) | 0xffff;
  }

  /** FS or GS when a prefix names it; the bases of all others are zero. */
  #segment(): number {
    const prefix = this.#instruction.segmentPrefix;
    return prefix === Register.FS ? FS : prefix === Register.GS ? GS : NO_REGISTER;
  }

  #dynamicFlags(records: Int32Array, at: number, form: Form, bits: number): number {
    let flags = 0;
    if (form.implicitAddress) {
      if (this.#instruction.hasRepnePrefix) flags |= IS_REPNE;
      else if (this.#instruction.hasRepPrefix) flags |= IS_REP;
    }
    const first = records[at + FIRST] ?? 0;
    if (form.writesFirst && (first & 0xff) === REGISTER && first >>> 16 === bits / 8)
      flags |= WRITES_REGISTER;
    const writesStack =
      (form.writesFirst && isStackPointer(first)) ||
      (form.writesSecond && isStackPointer(records[at + SECOND] ?? 0)) ||
      this.#instruction.mnemonic === Mnemonic.Leave;
    return writesStack ? flags | WRITES_STACK_POINTER : flags;
  }
}

function registerOf(instruction: Instruction, operand: number): Register {
  switch (operand) {
    case 0:
      return instruction.op0Register;
    case 1:
      return instruction.op1Register;
    case 2:
      return instruction.op2Register;
    default:
      return instruction.op3Register;
  }
}

function isStackPointer(word: number): boolean {
  return (word & 0xff) === REGISTER && ((word >>> 8) & 0xff) === RSP && word >>> 16 >= 4;
}

function addressSize(base: Register, index: Register, displacement: number, bits: number): number {
  if (base !== Register.None) return addressRegister(base).size;
  if (index !== Register.None) return addressRegister(index).size;
  return displacement > 1 ? displacement : bits / 8;
}

/** Address sizes by iced-x86's operand kind: MemorySegSI (15) to MemoryESRDI (23), in threes. */
const IMPLICIT_SIZES: Readonly<Record<number, number>> = {
  15: 2,
  16: 4,
  17: 8,
  18: 2,
  19: 4,
  20: 8,
  21: 2,
  22: 4,
  23: 8,
};

/** `Loop_rel8_64_ECX`, `Jecxz_rel8_64`: the name says which register counts. */
function countSize(code: string): number {
  if (/RCX$|^Jrcxz/.test(code)) return 8;
  return /ECX$|^Jecxz/.test(code) ? 4 : 2;
}

/** A little-endian signed value of one, two or four bytes. */
function signedAt(bytes: Uint8Array, at: number, size: number): number {
  const first = bytes[at] ?? 0;
  if (size === 1) return (first << 24) >> 24;
  const low = first | ((bytes[at + 1] ?? 0) << 8);
  if (size === 2) return (low << 16) >> 16;
  return low | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}

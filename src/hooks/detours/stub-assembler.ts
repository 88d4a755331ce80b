import {
  type Code,
  Decoder,
  DecoderOptions,
  Encoder,
  Formatter,
  FormatterSyntax,
  Instruction,
  MemoryOperand,
  Register,
} from 'iced-x86';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';

/** A place in the stub that is being written, or one elsewhere in the guest. */
export type Target = { readonly label: string } | { readonly address: bigint };

/** A memory operand: `displacement(base, index, scale)`, an address in the `gs` segment, or a place. */
export interface Memory {
  readonly memory: 'registers' | 'gs' | 'place';
  readonly base?: Register;
  readonly index?: Register;
  readonly scale?: 1 | 2 | 4 | 8;
  readonly displacement?: bigint;
  readonly place?: Target;
}

/** A constant in the instruction; 64 bits only where the instruction has room for them. */
export interface Immediate {
  readonly immediate: bigint;
}

export type Operand = Register | Memory | Immediate | Target;

/** `displacement(base)`. */
export function at(base: Register, displacement = 0): Memory {
  return { memory: 'registers', base, displacement: BigInt(displacement) };
}

/** `displacement(base, index, scale)`. */
export function indexed(base: Register, index: Register, scale: 1 | 2 | 4 | 8, displacement = 0): Memory {
  return { memory: 'registers', base, index, scale, displacement: BigInt(displacement) };
}

/** A variable of the CPU that executes, by its address in the per-CPU area (sign-extended 32 bits). */
export function perCpu(address: bigint): Memory {
  return { memory: 'gs', displacement: address };
}

/** What lies at a place, reached relative to the instruction pointer. */
export function inPlace(place: Target): Memory {
  return { memory: 'place', place };
}

export function imm(value: number | bigint): Immediate {
  return { immediate: BigInt(value) };
}

export function label(name: string): Target {
  return { label: name };
}

export function address(value: bigint): Target {
  return { address: value };
}

interface Line {
  readonly code?: Code;
  readonly operands: readonly Operand[];
  readonly locked?: boolean;
  readonly moved?: { readonly code: Uint8Array; readonly ip: bigint };
  readonly label?: string;
}

/**
 * Writes a stub as data: instructions, labels and code that was elsewhere, encoded for the address where it will lie.
 * Branches keep the form that they were written in, so that an instruction's length never depends on where its
 * target is.
 */
export class StubAssembler {
  readonly #lines: Line[] = [];

  emit(code: Code, ...operands: Operand[]): this {
    this.#lines.push({ code, operands });
    return this;
  }

  /** An instruction with a `lock` prefix. */
  locked(code: Code, ...operands: Operand[]): this {
    this.#lines.push({ code, operands, locked: true });
    return this;
  }

  label(name: string): this {
    if (this.#lines.some((line) => line.label === name)) throw new RangeError(`label ${name} is there twice`);
    this.#lines.push({ label: name, operands: [] });
    return this;
  }

  /** Instructions that exist already at `ip`; what they say relative to themselves goes on meaning the same. */
  moved(code: Uint8Array, ip: bigint): this {
    this.#lines.push({ moved: { code, ip }, operands: [] });
    return this;
  }

  /** Encodes everything for `base`, the virtual address of the first byte. @throws RangeError for an unknown label */
  assemble(base: GuestVirtualAddress): Stub {
    const labels = new Map<string, bigint>();
    this.#encode(base, (name) => labels.get(name) ?? base, labels);
    const bytes = this.#encode(base, (name) => known(labels, name), new Map());
    return new Stub(base, bytes, labels);
  }

  #encode(base: bigint, resolve: (label: string) => bigint, labels: Map<string, bigint>): Uint8Array {
    const encoder = new Encoder(64);
    const bytes: number[] = [];
    try {
      for (const line of this.#lines) {
        const place = base + BigInt(bytes.length);
        if (line.label !== undefined) labels.set(line.label, place);
        else if (line.moved !== undefined) bytes.push(...move(encoder, line.moved, place));
        else bytes.push(...encodeLine(encoder, line, place, resolve));
      }
    } finally {
      encoder.free();
    }
    return Uint8Array.from(bytes);
  }
}

/** Machine code for one address. */
export class Stub {
  readonly base: GuestVirtualAddress;
  readonly bytes: Uint8Array;
  readonly #labels: ReadonlyMap<string, bigint>;

  constructor(base: GuestVirtualAddress, bytes: Uint8Array, labels: ReadonlyMap<string, bigint>) {
    this.base = base;
    this.bytes = bytes;
    this.#labels = labels;
  }

  /** Where a label came to lie. @throws RangeError for an unknown one */
  addressOf(name: string): GuestVirtualAddress {
    return gva(known(this.#labels, name));
  }

  /** The code as text, one instruction a line, with its labels. */
  disassemble(): string {
    const decoder = new Decoder(64, this.bytes, DecoderOptions.None);
    const formatter = new Formatter(FormatterSyntax.Nasm);
    decoder.ip = this.base;
    const lines: string[] = [];
    try {
      while (decoder.canDecode) {
        const instruction = decoder.decode();
        for (const [name, place] of this.#labels) if (place === instruction.ip) lines.push(`${name}:`);
        lines.push(`  ${formatter.format(instruction)}`);
        instruction.free();
      }
    } finally {
      formatter.free();
      decoder.free();
    }
    return lines.join('\n');
  }
}

function known(labels: ReadonlyMap<string, bigint>, name: string): bigint {
  const place = labels.get(name);
  if (place === undefined) throw new RangeError(`there is no label ${name}`);
  return place;
}

function encodeLine(
  encoder: Encoder,
  line: Line,
  place: bigint,
  resolve: (label: string) => bigint,
): Uint8Array {
  if (line.code === undefined) return new Uint8Array();
  const targetOf = (target: Target) => ('label' in target ? resolve(target.label) : target.address);
  const instruction = build(line.code, line.operands, targetOf);
  try {
    if (line.locked) instruction.hasLockPrefix = true;
    encoder.encode(instruction, place);
    return encoder.takeBuffer();
  } finally {
    instruction.free();
  }
}

/** Decodes instructions where they are and encodes them for another place. */
function move(encoder: Encoder, { code, ip }: { code: Uint8Array; ip: bigint }, place: bigint): Uint8Array {
  const decoder = new Decoder(64, code, DecoderOptions.None);
  decoder.ip = ip;
  let length = 0;
  try {
    while (decoder.canDecode) {
      const instruction = decoder.decode();
      length += encoder.encode(instruction, place + BigInt(length));
      instruction.free();
    }
  } finally {
    decoder.free();
  }
  return encoder.takeBuffer();
}

type Resolver = (target: Target) => bigint;

function build(code: Code, operands: readonly Operand[], targetOf: Resolver): Instruction {
  const [first, second, third] = operands;
  if (first === undefined) return Instruction.create(code);
  if (isTarget(first)) return Instruction.createBranch(code, targetOf(first));
  if (second === undefined) return buildOne(code, first, targetOf);
  if (third !== undefined) return buildThree(code, first, second, third);
  return buildTwo(code, first, second, targetOf);
}

function buildOne(code: Code, operand: Operand, targetOf: Resolver): Instruction {
  if (isRegister(operand)) return Instruction.createReg(code, operand);
  if (isMemory(operand)) return Instruction.createMem(code, memoryOperand(operand, targetOf));
  throw new RangeError('an instruction has no such operand');
}

function buildTwo(code: Code, to: Operand, from: Operand, targetOf: Resolver): Instruction {
  if (isRegister(to) && isRegister(from)) return Instruction.createRegReg(code, to, from);
  if (isRegister(to) && isMemory(from))
    return Instruction.createRegMem(code, to, memoryOperand(from, targetOf));
  if (isRegister(to) && isImmediate(from))
    return Instruction.createRegI64(code, to, BigInt.asIntN(64, from.immediate));
  if (isMemory(to) && isRegister(from))
    return Instruction.createMemReg(code, memoryOperand(to, targetOf), from);
  if (isMemory(to) && isImmediate(from))
    return Instruction.createMemI32(code, memoryOperand(to, targetOf), signed32(from));
  throw new RangeError('an instruction has no such operands');
}

function buildThree(code: Code, to: Operand, from: Operand, by: Operand): Instruction {
  if (isRegister(to) && isRegister(from) && isImmediate(by))
    return Instruction.createRegRegI32(code, to, from, signed32(by));
  throw new RangeError('an instruction has no such operands');
}

function signed32({ immediate }: Immediate): number {
  return Number(BigInt.asIntN(32, immediate));
}

/** Displacement sizes as iced-x86 takes them: 8 for an address, 1 for "as short as it fits". The instruction that is made of it frees it. */
function memoryOperand(operand: Memory, targetOf: Resolver): MemoryOperand {
  const { base = Register.None, index = Register.None, scale = 1, displacement = 0n, place } = operand;
  if (operand.memory === 'gs')
    return new MemoryOperand(Register.None, Register.None, 1, displacement, 8, false, Register.GS);
  if (place !== undefined)
    return new MemoryOperand(Register.RIP, Register.None, 1, targetOf(place), 8, false, Register.None);
  const size = displacement === 0n ? 0 : 1;
  return new MemoryOperand(base, index, scale, displacement, size, false, Register.None);
}

function isRegister(operand: Operand): operand is Register {
  return typeof operand === 'number';
}

function isMemory(operand: Operand): operand is Memory {
  return typeof operand === 'object' && 'memory' in operand;
}

function isImmediate(operand: Operand): operand is Immediate {
  return typeof operand === 'object' && 'immediate' in operand;
}

function isTarget(operand: Operand): operand is Target {
  return typeof operand === 'object' && ('label' in operand || 'address' in operand);
}

import type { Random } from '../../../../lab/random.ts';
import type { Candidate } from './candidates.ts';
import { type Encoded, InstructionBuilder, MIDDLE, type Roles } from './encode.ts';
import { type Case, emptyState, STACK } from './host-cpu.ts';

const SINGLE_64: Roles = {
  operands: [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  bases: [3, 5, 6, 7, 12, 13, 15],
  index: 9,
};
const SINGLE_32: Roles = { operands: [0, 1, 2, 3, 5, 6, 7], bases: [3, 6, 7], index: 5 };
const SEQUENCE_64: Roles = { operands: [0, 1, 2, 8, 9, 10, 11, 15], bases: [3, 6, 12, 13], index: 14 };
const SEQUENCE_32: Roles = { operands: [0, 1, 2], bases: [3, 6], index: 5 };

/** TF and AC in anything that POPF may take: they would raise signals of their own. */
const POISON = 0x0004_0100_0004_0100n | 0x0000_0000_0004_0000n;
const NOT_IN_SEQUENCES =
  /^(Movs[bwdq]|Stos|Lods|Scas|Cmps[bwdq]|Xlat|Enter|Leave|Pop|Push|Div|Idiv|Cmpxchg|Bt|F|Wait|Into|Aam|Vzero|Emms|Mask|Vmask|Std|Sh[lr]d|Bound|L[defgs]s$)/;
const SHIFTS = /^(Shl|Shr|Sar|Rol|Ror|Rcl|Rcr|Shld|Shrd)$/;

function smallFloats(vectors: Uint8Array, random: Random): void {
  const view = new DataView(vectors.buffer, vectors.byteOffset);
  for (let at = 0; at < vectors.length; at += 4) view.setFloat32(at, random.below(2000) / 8 - 100, true);
}

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
    const builder = new InstructionBuilder(this.#random, this.#bits, candidate, roles);
    return builder.encode();
  }
}

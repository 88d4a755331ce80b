import { Instruction } from 'iced-x86';
import { afterAll, describe, expect, test } from 'vitest';
import { Random } from '../../../../lab/random.ts';
import { INSTRUCTION_GROUPS, VECTOR_GROUPS } from '../../../../src/analysis/emulator/instructions/table.ts';
import { candidates, NOT_COMPARED } from './candidates.ts';
import { describeCase, difference } from './compare.ts';
import { CONTROL_FLOW_32, CONTROL_FLOW_64 } from './control-flow.ts';
import { EmulatedCpu } from './emulated.ts';
import { Generator } from './generate.ts';
import { type Case, HostCpu } from './host-cpu.ts';

const SEED = 20_251_122;
const SINGLES_OF_EACH_FORM = 7;
const SEQUENCES = 3000;
const CONTROL_FLOW_RUNS = 20;

interface Planned {
  readonly test: Case;
  readonly names: readonly string[];
  readonly undefinedFlags: number;
  readonly compareMmx: boolean;
}

const host = new HostCpu();
const emulated = new EmulatedCpu();
const compared = new Map<string, number>();

afterAll(() => {
  host[Symbol.dispose]();
  emulated[Symbol.dispose]();
});

/** OF is defined for counts of one only, AF never (Intel SDM vol. 2B): what iced-x86 does not know. */
const SHIFT = /^(Shl|Shr|Sar|Rol|Ror|Rcl|Rcr|Shld|Shrd)$/;
const OF_AND_AF = 0x1 | 0x8;

function singles(bits: 32 | 64): Planned[] {
  const generator = new Generator(new Random(SEED + bits), bits);
  const instruction = new Instruction();
  const planned: Planned[] = [];
  for (const candidate of candidates(bits)) {
    instruction.code = candidate.code;
    const undefinedFlags = instruction.rflagsUndefined | (SHIFT.test(candidate.name) ? OF_AND_AF : 0);
    for (let tries = 0, made = 0; tries < 40 && made < SINGLES_OF_EACH_FORM; tries++) {
      const single = generator.single(candidate);
      if (single === undefined) continue;
      const names = [candidate.name];
      planned.push({ test: single, names, undefinedFlags, compareMmx: !candidate.name.startsWith('F') });
      made++;
    }
  }
  instruction.free();
  return planned;
}

function sequences(bits: 32 | 64): Planned[] {
  const random = new Random(SEED * 3 + bits);
  const generator = new Generator(random, bits);
  const all = candidates(bits);
  return Array.from({ length: SEQUENCES }, () => {
    const { test, undefinedFlags } = generator.sequence(all, 2 + random.below(8));
    return { test, names: [], undefinedFlags, compareMmx: true };
  });
}

function controlFlow(bits: 32 | 64): Planned[] {
  const generator = new Generator(new Random(SEED * 5 + bits), bits);
  return Object.entries(bits === 64 ? CONTROL_FLOW_64 : CONTROL_FLOW_32).flatMap(([names, hex]) =>
    Array.from({ length: CONTROL_FLOW_RUNS }, () => ({
      test: generator.withCode(Buffer.from(hex.replaceAll(' ', ''), 'hex')),
      names: names.split(' '),
      undefinedFlags: 0,
      compareMmx: true,
    })),
  );
}

/** Runs all on both CPUs; what differs, in words. */
function compare(planned: readonly Planned[]): string[] {
  const outcomes = host.run(planned.map(({ test }) => test));
  const differences: string[] = [];
  planned.forEach(({ test, names, undefinedFlags, compareMmx }, index) => {
    const outcome = outcomes[index];
    if (outcome === undefined) throw new Error('the host CPU gave too few outcomes');
    const ours = emulated.run(test);
    const found = difference(outcome, ours, undefinedFlags, compareMmx);
    if (found !== undefined) differences.push(`${names.join(' ')}: ${found} | ${describeCase(test)}`);
    for (const name of names) compared.set(name, (compared.get(name) ?? 0) + 1);
  });
  return differences;
}

describe('the emulator against the host CPU', () => {
  let total = 0;

  test.each([64, 32] as const)(
    '%i bits: every form of every instruction, random operands',
    (bits) => {
      const planned = singles(bits);
      total += planned.length;
      expect(compare(planned)).toEqual([]);
    },
    120_000,
  );

  test.each([64, 32] as const)(
    '%i bits: random sequences',
    (bits) => {
      const planned = sequences(bits);
      total += planned.length;
      expect(compare(planned)).toEqual([]);
    },
    120_000,
  );

  test.each([64, 32] as const)(
    '%i bits: branches, calls, loops and mode switches',
    (bits) => {
      const planned = controlFlow(bits);
      total += planned.length;
      expect(compare(planned)).toEqual([]);
    },
    120_000,
  );

  test('covers everything that the table calls supported, or says why not', () => {
    const names = [...INSTRUCTION_GROUPS, ...VECTOR_GROUPS].flatMap(({ instructions }) =>
      Object.keys(instructions),
    );
    const missing = names.filter((name) => !compared.has(name) && !NOT_COMPARED.has(name));
    const apart = names.filter((name) => NOT_COMPARED.has(name) && !compared.has(name));
    console.log(
      `${total} cases, seed ${SEED}; ${compared.size} of ${new Set(names).size} mnemonics compared, ${apart.length} apart: ${apart.join(' ')}`,
    );
    expect(missing).toEqual([]);
    expect(total).toBeGreaterThanOrEqual(20_000);
  });
});

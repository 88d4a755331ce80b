import { afterAll, describe, expect, test } from 'vitest';
import { DEFAULT_BUDGET, Judge, type Judgement } from '../../../src/analysis/judge.ts';
import { rawCodeInput } from '../../../src/analysis/raw-code.ts';
import { describeCall } from '../../../src/analysis/system-calls/call.ts';
import blocks from './building-blocks.json' with { type: 'json' };
import { BROKEN, CHAIN_CALLS, CHAINS, MISNUMBERED, OTHER_NAMES, OTHER_NAMES_32 } from './lists.ts';
import { type Architecture, type Rendered, renderTemplates } from './pwntools.ts';

/** Of a block that loops, the first calls are compared. */
const COMPARED_CALLS = 6;
const GENERATED = 'syscalls/';
const ENCODED = ' through ';
/** What pwntools says when an architecture has no such system call. */
const NO_SUCH_CALL = /^Exception: Could not locate any syscalls/;

const judge = new Judge();
afterAll(() => judge[Symbol.dispose]());

function judged(hex: string, architecture: Architecture): Judgement {
  const input = rawCodeInput(Buffer.from(hex, 'hex'), architecture === 'amd64' ? 64 : 32);
  return judge.judge({ ...input, budget: DEFAULT_BUDGET });
}

/** What is wrong with the judgement of a template that does a named chain. */
function checkChain(name: string, judgement: Judgement, isEncoded: boolean): string[] {
  const [chain = '', call = ''] = CHAINS[name] ?? [];
  const calls = judgement.systemCalls.map(describeCall).join('\n');
  const problems: string[] = [];
  if (judgement.verdict !== 'malicious') problems.push(`is ${judgement.verdict}`);
  if (!judgement.chains.some((found) => found.name === chain))
    problems.push(`has no chain ${chain}: ${calls}`);
  if (!calls.includes(call)) problems.push(`lacks ${call}: ${calls}`);
  if (isEncoded && !judgement.traits.some((trait) => trait.name === 'decoder-loop'))
    problems.push('has no decoder');
  return problems;
}

/** A generated template makes the one call that it is named after, with all arguments zero. */
function checkGenerated(name: string, judgement: Judgement, architecture: Architecture): string[] {
  const is32 = architecture === 'i386';
  const wanted =
    (is32 ? (OTHER_NAMES_32[name] ?? MISNUMBERED[name]) : undefined) ?? OTHER_NAMES[name] ?? name;
  const [call, ...more] = judgement.systemCalls;
  const problems: string[] = [];
  if (call?.name !== wanted || more.length > 0)
    problems.push(`calls ${judgement.systemCalls.map(describeCall).join(', ')}`);
  if (call?.arguments.some(({ value }) => value !== 0n))
    problems.push(`has arguments: ${describeCall(call)}`);
  const chain = MISNUMBERED[name] !== undefined && is32 ? undefined : CHAIN_CALLS[name];
  const found = judgement.chains.map((candidate) => candidate.name);
  if (chain !== undefined && !found.includes(chain)) problems.push(`has no chain ${chain}`);
  if ((judgement.verdict === 'malicious') !== (chain !== undefined)) problems.push(`is ${judgement.verdict}`);
  return problems;
}

/** A building block makes exactly its calls, and is not malicious for that. */
function checkBlock(name: string, judgement: Judgement, architecture: Architecture): string[] {
  const wanted: readonly string[] | undefined = (blocks[architecture] as Record<string, string[]>)[name];
  if (wanted === undefined) return ['is in no list'];
  const calls = judgement.systemCalls.map(describeCall).slice(0, COMPARED_CALLS);
  const problems = JSON.stringify(calls) === JSON.stringify(wanted) ? [] : [`calls ${calls.join(', ')}`];
  if (judgement.verdict === 'malicious') problems.push(`is malicious: ${judgement.reasons.join('; ')}`);
  return problems;
}

function check(name: string, rendered: Rendered, architecture: Architecture): string[] {
  const [plain = '', encoder] = name.split(ENCODED);
  if (typeof rendered !== 'string') {
    const isFine =
      BROKEN[architecture].includes(plain) ||
      (name.startsWith(GENERATED) && NO_SUCH_CALL.test(rendered.error));
    return isFine ? [] : [`was not rendered: ${rendered.error}`];
  }
  const judgement = judged(rendered, architecture);
  if (name.startsWith(GENERATED))
    return checkGenerated(name.slice(GENERATED.length), judgement, architecture);
  if (CHAINS[plain] !== undefined) return checkChain(plain, judgement, encoder !== undefined);
  return checkBlock(name, judgement, architecture);
}

describe("pwntools' shellcraft", () => {
  test.each(['amd64', 'i386'] as const)(
    'every template for %s is judged as it is listed',
    async (architecture) => {
      const rendered = await renderTemplates(architecture, Object.keys(CHAINS));
      const problems = Object.entries(rendered).flatMap(([name, code]) =>
        check(name, code, architecture).map((problem) => `${name} ${problem}`),
      );
      const encoded = Object.keys(rendered).filter((name) => name.includes(ENCODED));
      console.log(
        `${architecture}: ${Object.keys(rendered).length} templates, ${encoded.length} of them encoded`,
      );
      expect(problems).toEqual([]);
      expect(encoded.length).toBeGreaterThan(5);
    },
    600_000,
  );
});

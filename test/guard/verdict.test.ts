import { describe, expect, test } from 'vitest';
import { Judge } from '../../src/analysis/judge.ts';
import { rawCodeInput } from '../../src/analysis/raw-code.ts';
import { codeAnalysis, describeJudgement } from '../../src/guard/code-analysis.ts';
import type { AddressRange, EvidenceVma, ExecutionEvidence } from '../../src/guard/evidence.ts';
import { parsePolicy } from '../../src/guard/policy-file.ts';
import { judge } from '../../src/guard/verdict.ts';
import { gva } from '../../src/memory/address.ts';

const NO_ANALYSIS = () => undefined;

const RETURN = Uint8Array.of(0xc3);
/** xor edx, edx; push rdx; mov rax, "/bin//sh"; push rax; mov rdi, rsp; xor esi, esi; push 59; pop rax; syscall */
const SHELL = Buffer.from('31d25248b82f62696e2f2f736850 4889e7 31f6 6a3b58 0f05'.replaceAll(' ', ''), 'hex');
/** mov eax, SYS_exit; syscall */
const EXIT = Buffer.from('b83c0000000f05', 'hex');
/** push SYS_getpid; pop rax; syscall; jmp back */
const CALLS_WITHOUT_END = Buffer.from('6a27580f05ebf9', 'hex');

function range(start: number, end: number): AddressRange {
  return { start: gva(BigInt(start)), end: gva(BigInt(end)) };
}

const MAIN = range(0x7f00_0000, 0x7f10_0000);

interface Change {
  address?: number;
  sp?: number;
  vma?: Partial<EvidenceVma>;
  stacks?: Partial<ExecutionEvidence['stacks']>;
  page?: Partial<ExecutionEvidence['page']>;
  code?: Uint8Array;
}

/** A page that was never writable nor written, run by a thread on the main stack. */
function evidence(change: Change): ExecutionEvidence {
  return {
    address: gva(BigInt(change.address ?? 0x1000)),
    stackPointer: gva(BigInt(change.sp ?? 0x7f0f_0000)),
    vma: {
      ...range(0x1000, 0x3000),
      perms: 'r-xp',
      kind: 'anonymous',
      writable: false,
      wasWritable: false,
      ...change.vma,
    },
    stacks: { main: MAIN, own: undefined, alternate: undefined, uncertain: false, ...change.stacks },
    page: { writable: false, written: false, ...change.page },
    thread: rawCodeInput(change.code ?? RETURN, 64),
    code: change.code ?? RETURN,
  };
}

function rule(extra = '') {
  const text = `version: 1\nprocesses:\n  - match: { name: a }\n    action: block\n${extra}`;
  const found = parsePolicy(text).ruleFor({ name: 'a' });
  if (found === undefined) throw new Error('no rule');
  return found;
}

function findings(change: Change, extra = ''): string[] {
  const verdict = judge(evidence(change), rule(extra), NO_ANALYSIS);
  return verdict.findings.map((finding) => (finding.certain ? finding.check : `${finding.check}?`));
}

const WRITABLE: Change = { vma: { writable: true, perms: 'rwxp' } };
const THREAD = range(0x6000_0000, 0x6008_0000);

describe('judge', () => {
  test.each<[string, Change, string[]]>([
    ['memory that nobody wrote', {}, []],
    ['writable memory', { ...WRITABLE, page: { writable: true, written: true } }, ['writable']],
    ['writable memory whose entry is not writable yet', WRITABLE, ['writable']],
    ['an entry that is writable still, in memory that is not', { page: { writable: true } }, ['writable']],
    ['written, then made executable', { page: { written: true } }, ['written']],
    [
      'code on the main stack',
      { address: 0x7f00_2000, vma: { ...MAIN, kind: 'stack', writable: true } },
      ['stack', 'writable'],
    ],
    [
      "code on a thread's stack",
      { address: 0x6000_1000, sp: 0x6000_2000, vma: THREAD, stacks: { main: undefined, own: THREAD } },
      ['stack'],
    ],
    [
      "code on the thread's stack while it is elsewhere",
      { address: 0x6000_1000, sp: 0x7f0f_0000, vma: THREAD, stacks: { main: undefined, own: THREAD } },
      ['pivot', 'stack'],
    ],
    [
      'code on the alternate stack',
      { address: 0x5000, vma: range(0x5000, 0x6000), stacks: { alternate: range(0x5000, 0x6000) } },
      ['stack'],
    ],
    ['stack pointer in the memory that runs', { sp: 0x2000 }, ['pivot', 'stack']],
    ['stack pointer in other memory', { sp: 0x9000 }, ['pivot']],
    [
      'stack pointer on the alternate stack',
      { sp: 0x5800, stacks: { alternate: range(0x5000, 0x6000) } },
      [],
    ],
    ['stack pointer right behind the stack, which is then empty', { sp: 0x7f10_0000 }, []],
    ['stack pointer further behind the stack', { sp: 0x7f10_0008 }, ['pivot']],
    ['stack pointer just below the stack', { sp: 0x7f00_0000 }, ['pivot']],
    [
      'a thread on the main stack that has one of its own',
      { stacks: { main: undefined, own: THREAD } },
      ['pivot'],
    ],
    [
      'an adopted thread somewhere else',
      { sp: 0x9000, stacks: { main: undefined, own: THREAD, uncertain: true } },
      ['pivot?'],
    ],
    ['a thread of which no stack is known', { sp: 0x9000, stacks: { main: undefined, uncertain: true } }, []],
  ])('%s', (_name, change, expected) => {
    expect(findings(change)).toEqual(expected);
  });

  test('what is uncertain alone kills nobody', () => {
    const adopted: Change = { sp: 0x9000, stacks: { main: undefined, own: THREAD, uncertain: true } };
    expect(judge(evidence(adopted), rule(), NO_ANALYSIS).outcome).toBe('uncertain');
    expect(judge(evidence({ ...adopted, ...WRITABLE }), rule(), NO_ANALYSIS).outcome).toBe('malicious');
    expect(judge(evidence({}), rule(), NO_ANALYSIS).outcome).toBe('clean');
  });

  test('a JIT on the allow list may run what it wrote, and nothing else', () => {
    const allow = '    allow: [jit]\n';
    expect(findings({ page: { written: true } }, allow)).toEqual([]);
    expect(findings({ ...WRITABLE, page: { written: true } }, allow)).toEqual(['writable']);
    expect(findings({ sp: 0x9000, page: { written: true } }, allow)).toEqual(['pivot']);
  });

  test('each check can be switched off', () => {
    const all: Change = { sp: 0x2000, vma: { writable: true } };
    expect(findings(all)).toEqual(['pivot', 'stack', 'writable']);
    expect(findings(all, '    checks: { pivot: false }\n')).toEqual(['stack', 'writable']);
    expect(findings(all, '    checks: { stack: false, writable: false }\n')).toEqual(['pivot']);
  });
});

describe('the code itself', () => {
  const analyse = codeAnalysis();
  const compiler = rule('    allow: [jit]\n');

  test('is malicious where nothing else is wrong', () => {
    const verdict = judge(evidence({ code: SHELL, page: { written: true } }), compiler, analyse);
    expect(verdict).toMatchObject({
      outcome: 'malicious',
      findings: [{ check: 'code', detail: 'shell: runs /bin/sh', certain: true }],
      code: { chains: [{ name: 'shell' }] },
    });
  });

  test('is told, and kills nobody, where it is only suspicious', () => {
    const verdict = judge(evidence({ code: EXIT }), compiler, analyse);
    expect(verdict).toMatchObject({ outcome: 'uncertain', findings: [{ check: 'code', certain: false }] });
  });

  test("of a compiler runs on, and what it returns to is not the code's own", () => {
    const change = { code: Uint8Array.of(...RETURN, ...SHELL), page: { written: true } };
    const verdict = judge(evidence(change), compiler, analyse);
    expect(verdict).toMatchObject({ outcome: 'clean', findings: [], code: { verdict: 'benign' } });
    expect(verdict.code?.stopText).toBe('ended by a return to its caller');
  });

  test('ends in time, however long it would run', () => {
    const { code } = judge(evidence({ code: Uint8Array.of(0xeb, 0xfe) }), rule(), analyse);
    expect(code?.milliseconds).toBeLessThan(50);
    expect(code?.stop.kind).toBe('budget');
  });

  test('is malicious where a rule says so', () => {
    const scan = () => [{ rule: 'known', tags: [], verdict: 'malicious', offset: 0 } as const];
    const verdict = judge(evidence({}), compiler, codeAnalysis({ scan }));
    expect(verdict).toMatchObject({
      outcome: 'malicious',
      findings: [{ check: 'code', detail: 'rule known matches', certain: true }],
    });
  });

  test('is told in bounds', () => {
    using judge = new Judge();
    const judgement = judge.judge({ ...rawCodeInput(CALLS_WITHOUT_END, 64), budget: 1000 });
    expect(judgement.systemCalls.length).toBeGreaterThan(100);
    const calls = describeJudgement(judgement).syscalls;
    expect(calls).toHaveLength(64);
    expect(calls.at(-1)?.address).toBe('0x400003');
  });
});

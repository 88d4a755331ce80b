import { afterAll, describe, expect, test } from 'vitest';
import { Judge } from '../../src/analysis/judge.ts';
import { rawCodeInput } from '../../src/analysis/raw-code.ts';
import { type ExternalScanner, type RuleScanner, scanWithin } from '../../src/analysis/rules/scanner.ts';
import { bytes } from './emulator/support.ts';

const SHELL = bytes('31d252 48bb2f2f62696e2f7368 53545f 525754 5e 6a3b58 0f05');
const ENDLESS = bytes('48ffc0 ebfb');

describe('the judge', () => {
  const judge = new Judge();
  afterAll(() => judge[Symbol.dispose]());

  function names(
    code: Uint8Array,
    options: { original?: boolean; budget?: number; bits?: 32 | 64 } = {},
  ): string[] {
    const { original = false, budget = 256, bits = 64 } = options;
    const input = { ...rawCodeInput(code, bits), budget, original, stopAtSystemCall: original };
    return judge.judge(input).traits.map(({ name }) => name);
  }

  test('tells what it saw, with address, instruction and bytes', () => {
    const judgement = judge.judge({ ...rawCodeInput(SHELL, 64), budget: 256 });
    expect(judgement.verdict).toBe('malicious');
    expect(judgement.reasons[0]).toBe('shell: runs /bin/sh');
    expect(judgement.traits.find(({ name }) => name === 'syscall')).toMatchObject({
      instruction: 'syscall',
      bytes: '0f05',
      address: 0x40_0000n + BigInt(SHELL.length - 2),
    });
    expect(judgement.strings).toContain('//bin/sh');
  });

  test('ordinary code is benign', () => {
    const sum = bytes('31c0 85f6 7e0d 48631f 4801d8 4883c704 ffce 75f2 c3');
    const judgement = judge.judge({ ...rawCodeInput(sum, 64), budget: 256 });
    expect(judgement).toMatchObject({ verdict: 'benign', reasons: [], systemCalls: [], chains: [] });
  });

  test('a system call alone is suspicious, not malicious', () => {
    const judgement = judge.judge({ ...rawCodeInput(bytes('6a27 58 0f05 ebfe'), 64), budget: 256 });
    expect(judgement.verdict).toBe('suspicious');
    expect(judgement.systemCalls.map(({ name }) => name)).toEqual(['getpid']);
  });

  test('what is known of the region counts', () => {
    const input = { ...rawCodeInput(ENDLESS, 64), budget: 256 };
    expect(judge.judge({ ...input, region: { onStack: true } }).verdict).toBe('suspicious');
    const calls = { ...rawCodeInput(bytes('6a27 58 0f05 ebfe'), 64), budget: 256 };
    expect(judge.judge({ ...calls, region: { onStack: true } }).verdict).toBe('malicious');
  });

  test('one judgement leaves nothing for the next', () => {
    const alone = judge.judge({ ...rawCodeInput(ENDLESS, 64), budget: 256 });
    judge.judge({ ...rawCodeInput(SHELL, 64), budget: 256 });
    const after = judge.judge({ ...rawCodeInput(ENDLESS, 64), budget: 256 });
    expect({ ...after, milliseconds: 0 }).toEqual({ ...alone, milliseconds: 0 });
  });

  test('long budgets run in slices that do not hold the event loop', async () => {
    await judge.judgeInSlices({ ...rawCodeInput(ENDLESS, 64), budget: 1_000_000 });
    const spent: number[] = [];
    let before = process.cpuUsage();
    let isRunning = true;
    const tick = (): void => {
      const { user, system } = process.cpuUsage(before);
      spent.push((user + system) / 1000);
      before = process.cpuUsage();
      if (isRunning) setImmediate(tick);
    };
    setImmediate(tick);
    const judgement = await judge.judgeInSlices({ ...rawCodeInput(ENDLESS, 64), budget: 3_000_000 });
    isRunning = false;
    expect(judgement.instructions).toBe(3_000_000);
    expect(spent.length).toBeGreaterThan(10);
    // CPU time, as the machine may be busy with other things; compilation and collection on other threads count too.
    expect(Math.max(...spent)).toBeLessThan(25);
    expect(spent.filter((milliseconds) => milliseconds > 5).length).toBeLessThan(spent.length / 10);
  });

  test('two judgements in slices do not disturb each other', async () => {
    const [a, b] = await Promise.all([
      judge.judgeInSlices({ ...rawCodeInput(ENDLESS, 64), budget: 300_000 }),
      judge.judgeInSlices({ ...rawCodeInput(SHELL, 64), budget: 300_000 }),
    ]);
    expect([a.instructions, a.verdict, b.verdict]).toEqual([300_000, 'benign', 'malicious']);
  });

  test('rules are matched on the page, its neighbours and the payload, and counted once', () => {
    const seen: number[] = [];
    const rules: RuleScanner = {
      scan: (page) => {
        seen.push(page.length);
        return page.includes(0x3b)
          ? [{ rule: 'execve_number', tags: [], verdict: 'malicious', offset: 0 }]
          : [];
      },
    };
    const judgement = judge.judge({ ...rawCodeInput(SHELL, 64), budget: 1, rules });
    expect(judgement.reasons).toEqual(['rule execve_number matches']);
    expect(judgement.rules).toHaveLength(1);
    expect(seen).toEqual([4096]);
  });

  test('what another scanner found in time counts', async () => {
    const scanner: ExternalScanner = {
      name: 'test',
      scan: async () => [{ rule: 'Test.Virus', tags: [], verdict: 'malicious', offset: undefined }],
    };
    const input = rawCodeInput(ENDLESS, 64);
    const request = {
      mode: 64,
      page: new Uint8Array(4096),
      address: 0x40_0000n,
      instructionPointer: input.registers.get('rip'),
      stackPointer: input.registers.get('rsp'),
      stack: input.stack ?? { start: 0n, end: 0n },
    } as const;
    const matches = await scanWithin(scanner, request, 1000, () => {});
    expect(judge.judge({ ...input, budget: 1, matches })).toMatchObject({
      verdict: 'malicious',
      reasons: ['rule Test.Virus matches'],
    });
  });

  describe("the original's limits", () => {
    test('end at the first system call', () => {
      const judgement = judge.judge({
        ...rawCodeInput(SHELL, 64),
        budget: 256,
        original: true,
        stopAtSystemCall: true,
      });
      expect(judgement.stop).toEqual({ kind: 'system-call' });
    });

    test('a sled must fill three quarters of the budget', () => {
      const sled = new Uint8Array(300).fill(0x90);
      expect(names(sled, { original: true })).toContain('nop-sled');
      expect(
        names(Uint8Array.from([...sled.subarray(0, 100), 0xeb, 0xfe]), { original: true }),
      ).not.toContain('nop-sled');
      expect(names(Uint8Array.from([...sled.subarray(0, 100), 0xeb, 0xfe]))).toContain('nop-sled');
    });

    test('a stack string needs eight bytes of its set', () => {
      const seven = bytes('48b82f62696e2f736800 50 4889e7 ebfe');
      expect(names(seven, { original: true })).not.toContain('stack-string');
      expect(names(seven)).toContain('stack-string');
    });

    test('only XCHG pivots, and only to 64 bits is a gate', () => {
      const mov = bytes(`488d0501000000 4889c4 ebfe${'90'.repeat(64)}`);
      expect(names(mov)).toContain('stack-pivot');
      expect(names(mov, { original: true })).not.toContain('stack-pivot');
      const xchg = bytes(`488d0501000000 4894 ebfe${'90'.repeat(64)}`);
      expect(names(xchg, { original: true })).toContain('stack-pivot');
    });

    test('x32 numbers are no system call', () => {
      const x32 = bytes('b801000040 0f05');
      expect(names(x32, { original: true })).not.toContain('syscall');
      expect(names(x32)).toContain('syscall');
    });
  });
});

import { afterAll, describe, expect, test } from 'vitest';
import { DEFAULT_BUDGET, Judge } from '../../../src/analysis/judge.ts';
import { rawCodeInput } from '../../../src/analysis/raw-code.ts';
import { describeCall } from '../../../src/analysis/system-calls/call.ts';
import { assemble } from './assemble.ts';
import { LOADERS_64 } from './loaders-64.ts';
import { SAMPLES_32 } from './samples-32.ts';
import { SHELLS_64 } from './shells-64.ts';

const SAMPLES = [...SHELLS_64, ...LOADERS_64, ...SAMPLES_32];

describe('handwritten shellcodes', () => {
  const judge = new Judge();
  afterAll(() => judge[Symbol.dispose]());

  test('are at least sixty', () => {
    expect(SAMPLES.length).toBeGreaterThanOrEqual(60);
  });

  test.each(SAMPLES.map((sample) => [`${sample.bits} bits: ${sample.name}`, sample] as const))(
    '%s',
    (_, sample) => {
      const code = assemble(sample.source, sample.bits);
      const judgement = judge.judge({ ...rawCodeInput(code, sample.bits), budget: DEFAULT_BUDGET });
      const calls = judgement.systemCalls.map(describeCall);
      const found = { stop: judgement.stopText, calls, traits: judgement.traits.map(({ name }) => name) };
      expect(judgement.verdict, JSON.stringify(found)).toBe('malicious');
      if (sample.chain !== undefined) {
        expect(
          judgement.chains.map(({ name }) => name),
          JSON.stringify(found),
        ).toContain(sample.chain);
      }
      if (sample.call !== undefined) expect(calls.join('\n')).toContain(sample.call);
      expect(found.traits).toEqual(expect.arrayContaining([...(sample.traits ?? [])]));
    },
  );
});

import { describe, expect, test } from 'vitest';
import { decide } from '../../src/guard/answer.ts';
import { Retries } from '../../src/guard/retries.ts';

describe('decide', () => {
  test.each([
    ['clean', 'block', 50, 'allowed'],
    ['uncertain', 'block', 50, 'allowed'],
    ['malicious', 'audit', 50, 'allowed'],
    ['malicious', 'block', 50, 'killed'],
    ['malicious', 'block', 1, 'denied'],
  ] as const)('%s under %s by process %i is %s', (outcome, action, tgid, expected) => {
    expect(decide({ outcome, findings: [], code: undefined }, action, tgid)).toBe(expected);
  });
});

describe('Retries', () => {
  test('one instruction is sent back for a second at most', () => {
    const retries = new Retries();
    for (let now = 0; now <= 1000; now += 100) expect(retries.allow(1n, 0x1000n, now)).toBe(true);
    expect(retries.allow(1n, 0x1000n, 1100)).toBe(false);
    expect(retries.allow(2n, 0x1000n, 1100)).toBe(true);
    expect(retries.allow(1n, 0x2000n, 1200)).toBe(true);
  });

  test('an answer, or a pause, begins anew', () => {
    const retries = new Retries();
    expect(retries.allow(1n, 0x1000n, 0)).toBe(true);
    retries.settle(1n);
    expect(retries.allow(1n, 0x1000n, 900)).toBe(true);
    expect(retries.allow(1n, 0x1000n, 1800)).toBe(true);
    expect(retries.allow(1n, 0x1000n, 5000)).toBe(true);
  });
});

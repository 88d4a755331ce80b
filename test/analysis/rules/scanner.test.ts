import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type ExternalScanner,
  type RuleMatch,
  type ScanRequest,
  scanWithin,
} from '../../../src/analysis/rules/scanner.ts';
import { YaraScanner } from '../../../src/analysis/rules/yara.ts';

const REQUEST: ScanRequest = {
  mode: 64,
  page: new Uint8Array(4096),
  address: 0n,
  instructionPointer: 0n,
  stackPointer: 0n,
  stack: { start: 0n, end: 0n },
};
const MATCH: RuleMatch = { rule: 'Test.Virus', tags: [], verdict: 'malicious', offset: undefined };

function answering(after: number, matches: readonly RuleMatch[]): ExternalScanner {
  return { name: 'test', scan: () => new Promise((resolve) => setTimeout(() => resolve(matches), after)) };
}

describe('an external scanner', () => {
  test('counts when it answers in time', async () => {
    await expect(scanWithin(answering(1, [MATCH]), REQUEST, 1000, () => {})).resolves.toEqual([MATCH]);
  });

  test('is not waited for longer than the limit, and its late answer is handed on', async () => {
    let deliver: (matches: readonly RuleMatch[]) => void = () => {};
    const late = new Promise<readonly RuleMatch[]>((resolve) => {
      deliver = resolve;
    });
    await expect(
      scanWithin(answering(50, [MATCH]), REQUEST, 5, (matches) => deliver(matches)),
    ).resolves.toEqual([]);
    await expect(late).resolves.toEqual([MATCH]);
  });

  test('that fails says nothing', async () => {
    const broken: ExternalScanner = { name: 'broken', scan: () => Promise.reject(new Error('down')) };
    await expect(scanWithin(broken, REQUEST, 100, () => {})).resolves.toEqual([]);
  });
});

/** Whether the optional package is there. */
const isInstalled = await import('@litko/yara-x' as string).then(
  () => true,
  () => false,
);

describe('YARA rules', () => {
  const folder = mkdtempSync(join(tmpdir(), 'underwatch-rules-'));
  const file = join(folder, 'rules.yar');
  afterAll(() => rmSync(folder, { recursive: true }));

  test.skipIf(isInstalled)('need the optional package, and say so', async () => {
    writeFileSync(file, 'rule a { condition: true }');
    await expect(YaraScanner.open(file)).rejects.toThrow(
      /optional package @litko\/yara-x, which is not installed/,
    );
  });

  test.runIf(isInstalled)('match, and carry their own verdict', async () => {
    writeFileSync(file, 'rule egg { meta: verdict = "suspicious" strings: $a = "egg" condition: $a }');
    const scanner = await YaraScanner.open(file);
    expect(scanner.scan(Buffer.from('an egg'))).toEqual([
      { rule: 'egg', tags: [], verdict: 'suspicious', offset: 3 },
    ]);
  });

  test.runIf(isInstalled)('with an error are refused with its line and column', async () => {
    writeFileSync(file, 'rule a {\n  condition: tru\n}');
    await expect(YaraScanner.open(file)).rejects.toThrow(/line 2, column 14/);
  });
});

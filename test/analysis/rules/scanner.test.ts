import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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
function isInstalled(): boolean {
  try {
    createRequire(import.meta.url)('@litko/yara-x-linux-x64-gnu');
    return true;
  } catch {
    return false;
  }
}

describe('YARA rules', () => {
  const folder = mkdtempSync(join(tmpdir(), 'underwatch-rules-'));
  const file = join(folder, 'rules.yar');
  afterAll(() => rmSync(folder, { recursive: true }));

  test.skipIf(isInstalled())('need the optional package, and say so', () => {
    writeFileSync(file, 'rule a { condition: true }');
    expect(() => YaraScanner.open(file)).toThrow(/optional package @litko\/yara-x.* not installed/);
  });

  describe.runIf(isInstalled())('with the package', () => {
    test('match, and carry their own verdict', () => {
      writeFileSync(file, 'rule egg { meta: verdict = "suspicious" strings: $a = "egg" condition: $a }');
      expect(YaraScanner.open(file).scan(Buffer.from('an egg'))).toEqual([
        { rule: 'egg', tags: [], verdict: 'suspicious', offset: 3 },
      ]);
    });

    test('are refused for an error, with its line and column', () => {
      writeFileSync(file, 'rule a {\n  condition: tru\n}');
      expect(() => YaraScanner.open(file)).toThrow(/line 2, column 14/);
    });

    test('are read again when their file changes, and stay in force while it has an error', async () => {
      writeFileSync(file, 'rule egg { strings: $a = "egg" condition: $a }');
      const scanner = YaraScanner.open(file);
      writeFileSync(file, 'rule ham { strings: $a = "ham" condition: $a }');
      await delay(1100);
      expect(scanner.scan(Buffer.from('egg and ham'))).toMatchObject([{ rule: 'ham' }]);
      writeFileSync(file, 'rule spam {');
      await delay(1100);
      expect(scanner.scan(Buffer.from('egg and ham'))).toMatchObject([{ rule: 'ham' }]);
      expect(scanner.problem).toMatch(/line 1/);
    });
  });
});

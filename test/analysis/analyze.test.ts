import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { analyze, readCode } from '../../src/analysis/analyze.ts';
import { traceCode } from '../../src/analysis/trace.ts';
import { UsageError } from '../../src/errors.ts';
import { bytes } from './emulator/support.ts';

const SHELL = bytes('31d252 48bb2f2f62696e2f7368 53545f 525754 5e 6a3b58 0f05');

describe('analyze', () => {
  const folder = mkdtempSync(join(tmpdir(), 'underwatch-analyze-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function file(name: string, content: Uint8Array): string {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  }

  test('prints what JSON can hold', async () => {
    const report = await analyze(readCode(file('shell', SHELL)), { bits: 64 });
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({
      mode: 64,
      stop: 'ended by execve',
      verdict: 'malicious',
      chains: [{ name: 'shell' }],
      syscalls: [{ name: 'execve', abi: 'x64', arguments: { path: '"//bin/sh"' }, result: null }],
      strings: ['//bin/sh'],
    });
  });

  test('shows the decoded payload', async () => {
    const encoded = SHELL.map((byte) => byte ^ 0x11);
    const decoder = bytes('488d350f000000 b91c000000 803611 48ffc6 ffc9 75f6');
    decoder[8] = encoded.length;
    const { payload } = await analyze(Uint8Array.from([...decoder, ...encoded]), { bits: 64 });
    expect(payload?.bytes.startsWith(Buffer.from(SHELL).toString('hex'))).toBe(true);
  });

  test('in the wrong mode it does not fall over', async () => {
    await expect(analyze(SHELL, { bits: 32 })).resolves.toMatchObject({ mode: 32 });
  });

  test.each([0, -1, 1.5, Number.NaN])('a budget of %d is refused', async (maxInstructions) => {
    await expect(analyze(SHELL, { bits: 64, maxInstructions })).rejects.toThrow(UsageError);
  });

  test('empty, missing and huge files are refused in a sentence', () => {
    expect(() => readCode(file('empty', new Uint8Array()))).toThrow(/is empty: there is no code to analyse/);
    expect(() => readCode(join(folder, 'none'))).toThrow(/cannot be read/);
    expect(() => readCode(folder)).toThrow(UsageError);
    const huge = file('huge', SHELL);
    truncateSync(huge, 17 * 1024 * 1024);
    expect(() => readCode(huge)).toThrow(/at most 16777216 are analysed/);
  });

  test('traces every instruction', () => {
    const lines = [...traceCode(SHELL, { bits: 64 })];
    expect(lines).toHaveLength(13);
    expect(lines[0]).toBe('0x400000  31d2                            xor edx,edx');
    expect(lines.at(-1)).toMatch(/syscall$/);
  });
});

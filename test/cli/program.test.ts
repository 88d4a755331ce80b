import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'underwatch-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** One line on stderr that begins with the program's name, and nothing that looks like a stack trace. */
function oneSentence(stderr: string): string {
  const lines = stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^underwatch: \S/);
  expect(stderr).not.toMatch(/\n\s+at /);
  return stderr;
}

describe('help', () => {
  test('lists every command and the exit statuses', async () => {
    const { stdout, status } = await runCli('--help');
    expect(status).toBe(0);
    for (const name of ['demo', 'info', 'ps', 'maps', 'vma', 'symbols', 'struct', 'guard']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    }
    expect(stdout).toContain('2 wrong usage, 3 target not understood, 4 target lost');
  });

  test('of one command names its options', async () => {
    const { stdout, status } = await runCli('maps', '--help');
    expect(status).toBe(0);
    expect(stdout).toContain('--pid <PID>');
    expect(stdout).toContain('--format <FORMAT>');
  });

  test('tells the version of the package', async () => {
    const { stdout, status } = await runCli('--version');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage exits with 2 and one sentence', () => {
  test.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['info'], "missing required argument 'TARGET'"],
    [['info', 'x', '--format', 'xml'], 'Allowed choices are table, json, ndjson'],
    [['maps', 'x', '--pid', 'one'], "a process id is a number, not 'one'"],
    [['vma', 'x', '--pid', '1', '--address', 'zz'], "hexadecimal digits, not 'zz'"],
    [['vma', 'x', '--pid', '1'], "required option '-a, --address <ADDRESS>' not specified"],
    [['guard', 'x'], "required option '--policy <FILE>' not specified"],
    [['guard', 'x', '--policy', '/nowhere/policy.yaml'], '/nowhere/policy.yaml cannot be read: no such file'],
    [['info', 'qemu:/nowhere/qmp.sock'], 'there is no socket /nowhere/qmp.sock'],
    [['info', '/nowhere/memory.raw'], 'there is no image /nowhere/memory.raw'],
    [['guard', 'x', '--policy', 'p', '--events', 'moon'], "no events 'moon'"],
    [['guard', 'x', '--policy', 'p', '--transport', 'pigeon'], 'Allowed choices are'],
  ])('%j', async (args, sentence) => {
    const { stderr, stdout, status } = await runCli(...args);
    expect(oneSentence(stderr)).toContain(sentence);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });

  test('a policy with an unknown key names its line and column', async () => {
    const policy = join(folder, 'policy.yaml');
    writeFileSync(
      policy,
      'version: 1\nprocesses:\n  - match: { name: sh }\n    action: block\n    colour: red\n',
    );
    const { stderr, status } = await runCli('guard', 'qemu:/nowhere', '--policy', policy);
    expect(oneSentence(stderr)).toContain(`${policy}:5:5: unknown key`);
    expect(status).toBe(2);
  });
});

describe('a target that cannot be understood exits with 3 and one sentence', () => {
  test.each([
    ['/', 'cannot open the image /'],
    ['/etc/passwd', 'in no known format'],
  ])('%s', async (target, sentence) => {
    const { stderr, status } = await runCli('info', target);
    expect(oneSentence(stderr)).toContain(sentence);
    expect(status).toBe(3);
  });

  test('an image without Linux in it', async () => {
    const image = join(folder, 'zeros.raw');
    writeFileSync(image, new Uint8Array(8 << 20));
    const { stderr, status } = await runCli('info', image);
    expect(oneSentence(stderr)).toContain('no Linux kernel found in 8 MiB');
    expect(status).toBe(3);
  });
});

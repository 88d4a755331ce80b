import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadPolicy, PolicyError, parsePolicy } from '../../src/guard/policy-file.ts';

const GOOD = `version: 1
processes:
  - match: { path: /usr/bin/nginx, name: 'nginx*' }
    action: block
  - match: { name: node }
    action: audit
    allow: [jit]
    checks: { pivot: false }
`;

describe('parsePolicy', () => {
  test('the first rule that matches counts, and both globs must match', () => {
    const policy = parsePolicy(GOOD);
    expect(policy.ruleFor({ name: 'nginx', path: '/usr/bin/nginx' })?.action).toBe('block');
    expect(policy.ruleFor({ name: 'nginx', path: '/tmp/nginx' })).toBeUndefined();
    expect(policy.ruleFor({ name: 'nginx' })).toBeUndefined();
    expect(policy.ruleFor({ name: 'node' })).toMatchObject({
      action: 'audit',
      allowJit: true,
      checks: { stack: true, pivot: false, writable: true, written: true },
    });
  });

  const rule = (body: string) => `version: 1\nprocesses:\n  - match: { name: a }\n    action: block\n${body}`;
  test.each([
    ['empty file', '', /^p\.yaml:1:1: the policy is empty$/],
    ['only a comment', '# nothing\n', /^p\.yaml:1:1: the policy is empty$/],
    [
      'unknown key',
      rule('    acton: audit\n'),
      /^p\.yaml:5:5: unknown key "acton"; the keys here are: match, action, checks, allow$/,
    ],
    ['unknown key at the top', 'version: 1\nrules: []\nprocesses: []\n', /^p\.yaml:2:1: unknown key "rules"/],
    ['missing key', 'version: 1\n', /^p\.yaml:1:1: the key "processes" is missing$/],
    ['no rule', 'version: 1\nprocesses: []\n', /^p\.yaml:2:12: at least one rule is needed$/],
    ['other version', 'version: 2\nprocesses: []\n', /^p\.yaml:1:10: expected 1, not 2$/],
    [
      'bad action',
      'version: 1\nprocesses:\n  - match: { name: a }\n    action: kill\n',
      /^p\.yaml:4:13: expected audit or block, not "kill"$/,
    ],
    [
      'bad glob',
      'version: 1\nprocesses:\n  - match: { name: "[a" }\n    action: block\n',
      /^p\.yaml:3:20: bad glob: "\[" without a "\]"/,
    ],
    [
      'glob of a wrong type',
      'version: 1\nprocesses:\n  - match: { name: 3 }\n    action: block\n',
      /^p\.yaml:3:20: expected a glob \(text\), not 3$/,
    ],
    [
      'match of nothing',
      'version: 1\nprocesses:\n  - match: {}\n    action: block\n',
      /^p\.yaml:3:12: a match needs a path, a name or both$/,
    ],
    ['bad allowance', rule('    allow: [jit, all]\n'), /^p\.yaml:5:18: expected jit, not "all"$/],
    ['unknown check', rule('    checks: { heap: true }\n'), /^p\.yaml:5:15: unknown key "heap"/],
    [
      'check of a wrong type',
      rule('    checks: { stack: maybe }\n'),
      /^p\.yaml:5:22: expected true or false, not "maybe"$/,
    ],
    ['duplicate key', 'version: 1\nversion: 1\n', /^p\.yaml:2:1: not valid YAML: Map keys must be unique$/],
    [
      'duplicate match',
      rule('  - match: { name: a }\n    action: audit\n'),
      /^p\.yaml:5:12: duplicate match: rule 1 has the same/,
    ],
    ['broken YAML', 'version: [\n', /^p\.yaml:\d+:\d+: not valid YAML: /],
    ['two documents', '--- 1\n--- 2\n', /^p\.yaml:2:1: not valid YAML: /],
    ['not a mapping', 'nginx\n', /^p\.yaml:1:1: expected a mapping with the keys: version, processes$/],
    ['unknown tag', 'version: !!js 1\nprocesses: []\n', /^p\.yaml:1:10: not valid YAML: /],
  ])('%s', (_name, text, message) => {
    expect(() => parsePolicy(text, 'p.yaml')).toThrow(PolicyError);
    expect(() => parsePolicy(text, 'p.yaml')).toThrow(message);
  });

  test('aliases that multiply are refused', () => {
    const bomb = [
      'a: &a [1,1,1,1,1,1,1,1,1]',
      'b: &b [*a,*a,*a,*a,*a,*a,*a,*a]',
      'c: &c [*b,*b,*b,*b,*b,*b,*b,*b]',
      'd: [*c,*c,*c,*c,*c,*c]',
    ];
    expect(() => parsePolicy(bomb.join('\n'))).toThrow(PolicyError);
  });
});

describe('loadPolicy', () => {
  test('a file that is not there, and a folder, are refused in a sentence', async () => {
    await expect(loadPolicy('/nonexistent/policy.yaml')).rejects.toThrow(
      'the policy /nonexistent/policy.yaml cannot be read: no such file',
    );
    await expect(loadPolicy(tmpdir())).rejects.toThrow('it is a folder');
  });

  test('a good file', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'underwatch-policy-')), 'policy.yaml');
    await writeFile(path, GOOD);
    expect((await loadPolicy(path)).rules).toHaveLength(2);
  });
});

import { describe, expect, test } from 'vitest';
import { Glob, GlobError } from '../../src/guard/glob.ts';

describe('Glob', () => {
  test.each([
    ['nginx', 'nginx', true],
    ['nginx', 'nginx2', false],
    ['nginx*', 'nginx', true],
    ['nginx*', 'nginx: worker', true],
    ['/usr/*/nginx', '/usr/bin/nginx', true],
    ['/usr/*/nginx', '/usr/local/bin/nginx', false],
    ['/usr/**/nginx', '/usr/local/bin/nginx', true],
    ['/usr/**', '/usr/a/b', true],
    ['**', '', true],
    ['*', 'a/b', false],
    ['?b', 'ab', true],
    ['?b', '/b', false],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['[!a]', '/', false],
    ['[a-]', '-', true],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'axb', false],
    ['*.so.[0-9]*', 'libc.so.6', true],
    ['a.c', 'abc', false],
    ['?', '\u{1f600}', true],
  ])('%s on %s is %s', (pattern, text, expected) => {
    expect(new Glob(pattern).matches(text)).toBe(expected);
  });

  test.each([
    ['', 0, 'empty'],
    ['a[b', 1, 'without a "]"'],
    ['a]b', 1, 'without a "["'],
    ['[]', 0, 'empty set'],
    ['[z-a]', 0, 'backwards'],
    ['ab\\', 2, 'escapes nothing'],
    ['***', 0, 'more than two'],
  ])('%s is refused', (pattern, at, reason) => {
    const error = caught(() => new Glob(pattern));
    expect(error).toBeInstanceOf(GlobError);
    expect(error).toMatchObject({ at, message: expect.stringContaining(reason) });
  });

  test('a hostile name cannot make matching slow', () => {
    const glob = new Glob(`${'*a'.repeat(40)}b`);
    const started = performance.now();
    expect(glob.matches('a'.repeat(4096))).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

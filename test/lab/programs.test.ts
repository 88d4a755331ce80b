import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROGRAMS_FOLDER } from '../../lab/program-sources.ts';
import {
  ATTACKS,
  BENIGN,
  commandOf,
  guestPath,
  PROGRAMS,
  programNamed,
  sourceOf,
} from '../../lab/programs.ts';

describe('the table of guest programs', () => {
  test('has a row for every source file, and a source file for every row', () => {
    const sources = ['attack', 'benign', 'helper'].flatMap((kind) =>
      readdirSync(join(PROGRAMS_FOLDER, kind)).map((name) => `${kind}/${name}`),
    );
    expect(PROGRAMS.map(sourceOf).sort()).toEqual(sources.filter((name) => name.endsWith('.c')).sort());
  });

  test('has the attacks and the benign programs of this version', () => {
    const names = ['mprotect_rx', 'rwx', 'exec_stack', 'late_touch', 'thread', 'overflow'];
    expect(ATTACKS.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(BENIGN.map(({ name }) => name)).toEqual(['loop', 'jit', 'signals', 'maps_random']);
    for (const { achieves, name } of ATTACKS) expect(achieves, name).toMatch(/^PWNED /);
  });

  test('says where a program is and how to run it', () => {
    expect(guestPath(programNamed('rwx'))).toBe('/lab/attack/rwx');
    expect(commandOf(programNamed('rwx'))).toBe('/lab/attack/rwx');
    expect(commandOf(programNamed('jit'))).toBe('/lab/benign/jit 200');
    expect(() => programNamed('nothing')).toThrow(RangeError);
    expect(existsSync(join(PROGRAMS_FOLDER, 'system/init.sh'))).toBe(true);
  });
});

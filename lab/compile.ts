import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cached } from './cache.ts';
import { LabError } from './errors.ts';
import { execute } from './execute.ts';
import { PROGRAMS_FOLDER } from './program-sources.ts';

const FLAGS = ['-std=gnu17', '-O1', '-g0', '-s', '-Wall', '-Wextra', '-static', '-pthread'];

/**
 * Compiles a C program for the guests, statically linked, and returns the path of the executable. `source` is relative
 * to `lab/programs`. A program is compiled again when its source, a header beside it, the flags or the compiler changed.
 * Throws {@link LabError} with the compiler's first complaint, warnings included.
 */
export async function compile(source: string, flags: readonly string[] = []): Promise<string> {
  const path = join(PROGRAMS_FOLDER, source);
  const folder = await cached(`programs/${await fingerprint(path, flags)}`, async (target) => {
    const { status, stderr } = await execute('gcc', [
      ...FLAGS,
      ...flags,
      '-o',
      join(target, 'program'),
      path,
    ]);
    if (status !== 0 || stderr !== '') {
      throw new LabError(
        `${source} does not compile cleanly: ${stderr.trim().split('\n').slice(0, 3).join(' ')}`,
      );
    }
  });
  return join(folder, 'program');
}

async function fingerprint(path: string, flags: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([...FLAGS, ...flags, await compilerVersion()]));
  hash.update(await readFile(path));
  for (const folder of [dirname(path), PROGRAMS_FOLDER]) {
    for (const name of (await readdir(folder)).filter((file) => file.endsWith('.h')).sort()) {
      hash.update(await readFile(join(folder, name)));
    }
  }
  return hash.digest('hex').slice(0, 24);
}

let version: Promise<string> | undefined;

function compilerVersion(): Promise<string> {
  version ??= execute('gcc', ['-dumpfullversion', '-dumpmachine']).then(({ stdout }) => stdout);
  return version;
}

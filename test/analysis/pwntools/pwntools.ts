import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, say } from '../../../lab/cache.ts';
import { PrivateApt, unpack } from '../../../lab/debian/apt.ts';
import { ARGUMENTS, ARGUMENTS_BY_ARCHITECTURE } from './arguments.ts';

const PACKAGE = 'python3-pwntools';

export type Architecture = 'amd64' | 'i386';

/** A template's bytes in hexadecimal, or why pwntools did not render it. */
export type Rendered = string | { readonly error: string };

/** Fetches Debian's pwntools with Python and all else that it needs into the cache. */
async function fetchPwntools(): Promise<string> {
  return cached('peers/pwntools-bookworm', async (target) => {
    say("fetching Debian's pwntools");
    const apt = new PrivateApt('bookworm');
    const version = await apt.candidate(PACKAGE);
    for (const archive of await apt.downloadWithDependencies({ name: PACKAGE, version }))
      await unpack(archive, target);
    await apt.clean();
  });
}

/** Renders every shellcraft template of an architecture; those in `encode` also through each of pwntools' encoders. */
export async function renderTemplates(
  architecture: Architecture,
  encode: readonly string[],
): Promise<Readonly<Record<string, Rendered>>> {
  const root = await fetchPwntools();
  const home = mkdtempSync(join(tmpdir(), 'underwatch-pwntools-'));
  try {
    const libraries = [join(root, 'lib/x86_64-linux-gnu'), join(root, 'usr/lib/x86_64-linux-gnu')];
    const program = [join(root, 'usr/bin/python3.11'), join(import.meta.dirname, 'render.py'), architecture];
    const output = execFileSync(
      join(libraries[0] ?? '', 'ld-linux-x86-64.so.2'),
      ['--library-path', libraries.join(':'), ...program],
      {
        input: JSON.stringify({
          arguments: { ...ARGUMENTS, ...ARGUMENTS_BY_ARCHITECTURE[architecture] },
          encode,
        }),
        env: {
          PATH: process.env.PATH,
          PYTHONHOME: join(root, 'usr'),
          PYTHONDONTWRITEBYTECODE: '1',
          PWNLIB_NOTERM: '1',
          HOME: home,
        },
        encoding: 'utf8',
        maxBuffer: 16 * 1024 * 1024,
        stdio: ['pipe', 'pipe', 'ignore'],
        timeout: 300_000,
      },
    );
    return JSON.parse(output);
  } finally {
    rmSync(home, { recursive: true });
  }
}

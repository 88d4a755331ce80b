import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, say } from '../../lab/cache.ts';
import { PrivateApt, unpack } from '../../lab/debian/apt.ts';
import { executeOrFail } from '../../lab/execute.ts';

const PACKAGES = ['libunicorn-dev', 'libunicorn2'] as const;
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';

/** Seconds of CPU that Unicorn took for all samples, and the sum of the addresses at which they ended. */
export interface UnicornTimes {
  readonly reused: number;
  readonly fresh: number;
  readonly ends: number;
}

/** Debian's Unicorn, as a program that takes samples. */
export class Unicorn implements AsyncDisposable {
  readonly #folder: string;
  readonly #libraries: string;

  private constructor(folder: string, libraries: string) {
    this.#folder = folder;
    this.#libraries = libraries;
  }

  /** Fetches the library into the cache, and compiles the program. */
  static async build(): Promise<Unicorn> {
    const root = await cached('peers/unicorn-bookworm', fetchLibrary);
    const libraries = join(root, LIBRARIES);
    const folder = await mkdtemp(join(tmpdir(), 'underwatch-unicorn-'));
    const library = (await readdir(libraries)).find((name) => name.startsWith('libunicorn.so.2')) ?? '';
    const source = sourcePath();
    const args = ['-O2', `-I${join(root, 'usr/include')}`, '-o', join(folder, 'unicorn'), source];
    await executeOrFail('gcc', [...args, join(libraries, library)]);
    return new Unicorn(folder, libraries);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }

  run(samples: readonly Uint8Array[]): UnicornTimes {
    const count = new Uint8Array(Uint32Array.of(samples.length).buffer);
    const { status, stdout, stderr } = spawnSync(join(this.#folder, 'unicorn'), {
      input: Buffer.concat([count, ...samples]),
      env: { ...process.env, LD_LIBRARY_PATH: this.#libraries },
      encoding: 'utf8',
      timeout: 120_000,
    });
    if (status !== 0) throw new Error(`Unicorn's program failed: ${stderr}`);
    const [reused = 0, ends = 0, fresh = 0, freshEnds = 0] = stdout.trim().split(' ').map(Number);
    if (ends !== freshEnds) throw new Error('Unicorn ended elsewhere with a fresh engine');
    return { reused, fresh, ends };
  }
}

/** The C file stays in the source tree when this file is compiled to `dist`. */
function sourcePath(): string {
  return join(import.meta.dirname.replace(/\/dist\/bench\//, '/bench/'), 'unicorn.c');
}

async function fetchLibrary(target: string): Promise<void> {
  say("fetching Debian's Unicorn library");
  const apt = new PrivateApt('bookworm');
  for (const name of PACKAGES) {
    const archive = await apt.download({ name, version: await apt.candidate(name) }, target);
    await unpack(archive, target);
    await rm(archive);
  }
}

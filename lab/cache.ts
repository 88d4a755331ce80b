import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { LabError } from './errors.ts';

const STAMP = 'stamp.json';

/** The folder that outlives checkouts: `UNDERWATCH_CACHE`, else `underwatch` in the user's cache folder. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.UNDERWATCH_CACHE) return environment.UNDERWATCH_CACHE;
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'underwatch');
}

/** One line a step on stderr: what the lab does that takes time, or did differently from what was asked. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Holds an advisory lock on `file` until disposed; waits for whoever holds it. The lock is held by a child of this
 * process on a pipe (flock(1)), so it is released however this process ends.
 */
export async function lock(file: string): Promise<AsyncDisposable> {
  await mkdir(dirname(file), { recursive: true });
  const holder = spawn('flock', [file, 'sh', '-c', 'echo; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    holder.stdout.once('data', () => resolve());
    holder.once('error', () => reject(new LabError('flock (util-linux) is missing')));
    holder.once('close', () => reject(new LabError(`cannot lock ${file}`)));
  });
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await ended;
    },
  };
}

/**
 * The folder `<cache>/<name>`, filled by `fill` if it is not there or is no longer what was put there. `fill` gets an
 * empty folder, which takes its place by a rename once it is complete, together with a stamp of the SHA-256 of every
 * file in it. The stamp is compared at every call.
 */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name);
  if ((await state(folder)) === 'good') return folder;
  await using _lock = await lock(join(cacheFolder(), 'locks', name.replaceAll('/', '_')));
  const found = await state(folder);
  if (found === 'good') return folder;
  if (found === 'bad') say(`${folder} is not what was put there; making it anew`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(`${folder}.new-`);
  try {
    await fill(temporary);
    await writeFile(join(temporary, STAMP), JSON.stringify(await digests(temporary), null, 1));
    await rename(temporary, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** Whether `<cache>/<name>` is there and is what was put there. */
export async function isCached(name: string): Promise<boolean> {
  return (await state(join(cacheFolder(), name))) === 'good';
}

async function state(folder: string): Promise<'absent' | 'good' | 'bad'> {
  let stamp: string;
  try {
    stamp = await readFile(join(folder, STAMP), 'utf8');
  } catch {
    return 'absent';
  }
  return stamp === JSON.stringify(await digests(folder), null, 1) ? 'good' : 'bad';
}

/** SHA-256 of every regular file below `folder` but the stamp, by relative path, in path order. */
async function digests(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const result: Record<string, string> = {};
  for (const file of files.sort()) {
    const path = relative(folder, file);
    if (path !== STAMP) result[path] = await sha256(file);
  }
  return result;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

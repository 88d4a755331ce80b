import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** A command that lists every VMA of an image, as a whole process. */
export interface Lister {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** How long a process took from its start to its end, in milliseconds; its output goes to a file or nowhere. */
export async function wallTime(lister: Lister, output = '/dev/null'): Promise<number> {
  const start = performance.now();
  await finished(lister, output);
  return performance.now() - start;
}

const SAMPLE_MS = 4;

/** The most anonymous memory that a process held, in MiB, sampled while it ran; mapped files do not count. */
export async function peakAnonymousMemory(lister: Lister): Promise<number> {
  let peak = 0;
  await finished(lister, '/dev/null', (pid) => {
    const timer = setInterval(() => {
      peak = Math.max(peak, anonymousMemory(pid));
    }, SAMPLE_MS);
    return () => clearInterval(timer);
  });
  return peak / 1024;
}

/** Runs a command and gives what it printed. */
export function outputOf(lister: Lister): Promise<string> {
  const child = spawn(lister.command, lister.args, {
    env: { ...process.env, ...lister.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => (status === 0 ? resolve(text) : reject(failure(lister, status))));
  });
}

function finished(lister: Lister, output: string, started?: (pid: number) => () => void): Promise<void> {
  const file = openSync(output, 'w');
  const child = spawn(lister.command, lister.args, {
    env: { ...process.env, ...lister.env },
    stdio: ['ignore', file, 'ignore'],
  });
  closeSync(file);
  const stop = child.pid === undefined ? undefined : started?.(child.pid);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      stop?.();
      if (status === 0) resolve();
      else reject(failure(lister, status));
    });
  });
}

function failure({ command, args }: Lister, status: number | null): Error {
  return new Error(`${[command, ...args].join(' ')} ended with status ${status}`);
}

/** `RssAnon` of a process, in KiB; 0 when it has ended. */
function anonymousMemory(pid: number): number {
  try {
    return Number(/^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

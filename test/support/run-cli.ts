import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

/** What a run of the command line tool printed, and how it ended. */
export interface CliResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

/** A run of the command line tool that goes on. */
export interface RunningCli {
  readonly process: ChildProcess;
  /** Resolves when stdout or stderr holds the text. */
  printed(text: string): Promise<void>;
  readonly ended: Promise<CliResult>;
}

/** Runs `underwatch` as it is built, and waits for its end. */
export function runCli(...args: string[]): Promise<CliResult> {
  return startCli(...args).ended;
}

/** Starts `underwatch` as it is built. */
export function startCli(...args: string[]): RunningCli {
  if (!existsSync(MAIN)) throw new Error('the project is not built: run `npm run build`');
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      texts[name] += chunk;
      for (const look of watchers) look();
    });
  }
  const ended = new Promise<CliResult>((resolve) => {
    child.on('close', (status) => resolve({ ...texts, status }));
  });
  const printed = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!texts.stdout.includes(text) && !texts.stderr.includes(text)) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
      void ended.then(() => reject(new Error(`it ended without printing '${text}': ${texts.stderr}`)));
    });
  return { process: child, printed, ended };
}

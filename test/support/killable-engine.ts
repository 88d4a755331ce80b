import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Programs } from './detour-engine.ts';

const PROGRAM = fileURLToPath(new URL('./detour-engine-process.ts', import.meta.url));

/** An engine in another process. */
export class KillableEngine {
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  #complaints = '';

  constructor(target: string, journal: string, programs: Programs) {
    this.#process = spawn(process.execPath, [PROGRAM, target, journal, JSON.stringify(programs)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.#process;
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.#lines.push(line));
    stderr?.on('data', (chunk) => {
      this.#complaints += chunk;
    });
  }

  /** What it has said on standard error. */
  get complaints(): string {
    return this.#complaints;
  }

  /** What it has said so far that begins with that word. */
  said(word: string): string | undefined {
    return this.#lines.find((line) => line.startsWith(word));
  }

  /** Waits until it says a line that begins with that word, and gives the line. */
  async says(word: string, limit = 30_000): Promise<string> {
    const deadline = performance.now() + limit;
    for (;;) {
      const line = this.said(word);
      if (line !== undefined) return line;
      if (this.#process.exitCode !== null || performance.now() > deadline)
        throw new Error(`the engine did not say ${word}, but ${this.#lines.join('; ')}; ${this.#complaints}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** @throws Error where it had ended by itself */
  async kill(): Promise<void> {
    const gone = once(this.#process, 'close');
    if (!this.#process.kill('SIGKILL'))
      throw new Error(`the engine had ended by itself: ${this.#lines.join('; ')}; ${this.#complaints}`);
    await gone;
  }

  /** Has it stop the guest, for good. */
  async pause(): Promise<void> {
    this.#process.stdin?.write('pause\n');
    await this.says('paused');
  }

  /** Lets it leave the guest as it found it; gives its counters. */
  async stop(): Promise<{ timeouts: number; released: number; answered: number }> {
    const closed = once(this.#process, 'close');
    this.#process.stdin?.write('stop\n');
    const line = await this.says('gone');
    await closed;
    return JSON.parse(line.slice('gone '.length));
  }
}

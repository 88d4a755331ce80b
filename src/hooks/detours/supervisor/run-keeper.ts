import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { KeeperMessage } from './messages.ts';

/**
 * A process beside the engine that lets the machine run again when the engine dies, however it dies, while it keeps
 * the machine from running. The two are connected by a pipe, whose end tells of the death.
 */
export class RunKeeper implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
    // A supervisor that has gone is no reason for the engine to go.
    process.on('error', () => {});
    process.stdin?.on('error', () => {});
  }

  /** Starts the supervisor of a machine, named as the user named it. It outlives signals to our process group. */
  static start(machine: string): RunKeeper {
    const name = import.meta.url.endsWith('.ts') ? './supervisor.ts' : './supervisor.js';
    const module = fileURLToPath(new URL(name, import.meta.url));
    const child = spawn(process.execPath, [module, machine], {
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    child.unref();
    return new RunKeeper(child);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** From now on the machine may be found paused because of us. To be called before it is paused. */
  stopping(): void {
    this.#tell('stopping');
  }

  /** The machine runs as far as we are concerned. */
  running(): void {
    this.#tell('running');
  }

  /** Sends the supervisor home. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.stdin === null) return;
    const gone = once(this.#process, 'exit');
    this.#tell('done');
    this.#process.stdin.end();
    await gone;
  }

  #tell(message: KeeperMessage): void {
    this.#process.stdin?.write(`${message}\n`);
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError, messageOf } from './errors.ts';

/**
 * Kills a process and removes a folder as soon as its standard input closes without the word `done`: that is, however
 * the process at the other end went. It learns the process to kill once there is one.
 */
const WATCHDOG = `read -r pid
read -r word; [ "$word" = done ] && exit
[ -n "$pid" ] && kill -9 "$pid"
rm -rf "$1"`;

/** A QEMU process with a folder of its own; both end, at the latest, when this process ends in whatever way. */
export class HostProcess {
  readonly pid: number;
  readonly folder: string;
  /** Resolved with what the process wrote to standard error when it has ended. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #watchdog: ChildProcess;
  #stopping: Promise<void> | undefined;

  private constructor(child: ChildProcess, folder: string, watchdog: ChildProcess) {
    this.pid = child.pid ?? 0;
    this.folder = folder;
    this.#child = child;
    this.#watchdog = watchdog;
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    this.ended = new Promise((resolve) => child.once('close', () => resolve(complaint.trim())));
  }

  /**
   * Makes a folder in `parent`, lets `prepare` fill it and say what to run, and runs that, in a session of its own, so
   * that a terminal's Ctrl-C does not reach it. Throws {@link LabError} if it cannot be started.
   */
  static async start(
    parent: string,
    prepare: (folder: string) => Promise<readonly string[]>,
  ): Promise<HostProcess> {
    const folder = mkdtempSync(join(parent, 'underwatch-guest-'));
    const watchdog = spawn('sh', ['-c', WATCHDOG, 'sh', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    watchdog.stdin?.on('error', () => {});
    try {
      const [command = '', ...args] = await prepare(folder);
      const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
      await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
      watchdog.stdin?.write(`${child.pid}\n`);
      return new HostProcess(child, folder, watchdog);
    } catch (error) {
      watchdog.stdin?.end();
      throw new LabError(`QEMU cannot be started: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Kills the process, waits for its end and removes its folder. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
    const released = new Promise((resolve) => this.#watchdog.once('close', resolve));
    this.#watchdog.stdin?.end('done\n');
    await released;
  }
}

import { readFileSync } from 'node:fs';
import { statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { say } from './cache.ts';
import { type CommandResult, ControlChannel, type RunningCommand } from './control-channel.ts';
import { LabError } from './errors.ts';
import { findLogProblems } from './guest-log.ts';
import { type GuestOptions, type GuestPaths, guestPaths, qemuOptions } from './guest-options.ts';
import { HostProcess } from './host-process.ts';
import { buildInitramfs } from './initramfs.ts';
import { fetchKernel, type Kernel } from './kernel-package.ts';
import { kernelRow } from './kernels.ts';
import { findQemu, type Qemu } from './qemu.ts';

export type { CommandResult, RunningCommand } from './control-channel.ts';
export type { GuestOptions } from './guest-options.ts';

const BOOT_ATTEMPTS = 3;
const BOOT_MS = 60_000;
const COMMAND_MS = 60_000;

/** A Linux guest that runs in QEMU on this machine. Dispose of it, or end this process, and nothing of it is left. */
export interface Guest extends AsyncDisposable {
  readonly kernel: Kernel;
  readonly qemu: Qemu;
  readonly qemuPid: number;
  /** Unix socket of QEMU's monitor protocol. */
  readonly qmpSocket: string;
  /** Unix socket of QEMU's gdb stub; absent if the guest was booted without. */
  readonly gdbSocket: string | undefined;
  /** The file that is the guest's RAM; absent if the guest was booted without shared memory. */
  readonly ramFile: string | undefined;
  /** Runs a shell command in the guest and waits for its end; several may run at a time. Times out after 60 s unless told otherwise (ms). */
  run(command: string, options?: { readonly timeout?: number }): Promise<CommandResult>;
  /** Starts a shell command in the guest and returns as soon as it has a process. */
  spawn(command: string): Promise<RunningCommand>;
  /** Reads a file of the guest, also one of /proc whose size is not known. */
  readFile(path: string): Promise<Buffer>;
  /** Writes an executable file in the guest. */
  writeFile(path: string, content: Uint8Array): Promise<void>;
  /** The guest's console since its boot: the kernel's log. */
  log(): string;
  /** The lines of the log that show that the kernel or its first process was harmed. */
  logProblems(): string[];
}

/** The boot did not reach the agent, for a reason that may not be there at the next attempt. */
class BootError extends LabError {}

/**
 * Boots a guest and waits until commands can be run in it. A boot that ended before the guest's own init ran, or hung, is
 * QEMU's fault and is tried again, up to three times, with a line on stderr. Throws {@link LabError}.
 */
export async function bootGuest(options: GuestOptions): Promise<Guest> {
  const known = kernelRow(options.kernel);
  const row = options.candidate === undefined ? known : { ...known, candidates: [options.candidate] };
  const qemu = await findQemu(options.qemu ?? 'system');
  const kernel = await fetchKernel(row);
  sayOnce(`guest kernel ${kernel.id}: ${kernel.package}, on QEMU ${qemu.version}`);
  const boot = { cpu: row.cpu, vmlinuz: kernel.vmlinuz };
  const initramfs = await buildInitramfs(kernel);
  for (let attempt = 1; ; attempt++) {
    const host = await HostProcess.start(await guestFolder(options.memory ?? 256), async (folder) => {
      await writeFile(guestPaths(folder).initramfs, initramfs);
      return [qemu.command, ...qemu.args, ...qemuOptions(options, boot, guestPaths(folder))];
    });
    const paths = guestPaths(host.folder);
    try {
      const channel = await waitForAgent(host, paths);
      return new RunningGuest(options, kernel, qemu, host, paths, channel);
    } catch (error) {
      await host.stop();
      if (!(error instanceof BootError) || attempt === BOOT_ATTEMPTS) throw error;
      say(`booting ${kernel.id} on QEMU ${qemu.version} failed (${error.message}); attempt ${attempt + 1}`);
    }
  }
}

const alreadySaid = new Set<string>();

function sayOnce(line: string): void {
  if (!alreadySaid.has(line)) say(line);
  alreadySaid.add(line);
}

async function waitForAgent(host: HostProcess, paths: GuestPaths): Promise<ControlChannel> {
  const over = new AbortController();
  try {
    return await Promise.race([
      connectToAgent(paths, over.signal),
      host.ended.then((complaint): never => {
        throw bootFailure(readLog(paths), complaint || 'QEMU ended');
      }),
      delay(BOOT_MS, undefined, { signal: over.signal }).then((): never => {
        throw bootFailure(readLog(paths), `it hung for ${BOOT_MS / 1000} s`);
      }),
    ]);
  } finally {
    over.abort();
  }
}

async function connectToAgent(paths: GuestPaths, signal: AbortSignal): Promise<ControlChannel> {
  for (;;) {
    const channel = await ControlChannel.connect(paths.control).catch(() => undefined);
    if (channel) {
      await channel.ready;
      return channel;
    }
    await delay(20, undefined, { signal });
  }
}

/** QEMU that does not start, and an init that fails, will do so again; a kernel that broke before its init need not. */
function bootFailure(log: string, what: string): LabError {
  if (log === '') return new LabError(`QEMU does not start the guest: ${what}`);
  const problem = findLogProblems(log)[0]?.trim();
  const message = problem === undefined ? what : `${what}: ${problem}`;
  return log.includes('Run /init as init process')
    ? new LabError(`the guest's init failed: ${message}`)
    : new BootError(message);
}

/** A folder in memory where it has room for the guest's RAM, else the folder for temporary files. */
async function guestFolder(memory: number): Promise<string> {
  try {
    const { bavail, bsize } = await statfs('/dev/shm');
    if (bavail * bsize > memory * 1.25 * 2 ** 20) return '/dev/shm';
  } catch {
    // not mounted
  }
  return tmpdir();
}

function readLog(paths: GuestPaths): string {
  try {
    return readFileSync(paths.console, 'utf8');
  } catch {
    return '';
  }
}

class RunningGuest implements Guest {
  readonly kernel: Kernel;
  readonly qemu: Qemu;
  readonly qemuPid: number;
  readonly qmpSocket: string;
  readonly gdbSocket: string | undefined;
  readonly ramFile: string | undefined;
  readonly #host: HostProcess;
  readonly #paths: GuestPaths;
  readonly #channel: ControlChannel;
  #finalLog: string | undefined;

  constructor(
    options: GuestOptions,
    kernel: Kernel,
    qemu: Qemu,
    host: HostProcess,
    paths: GuestPaths,
    channel: ControlChannel,
  ) {
    this.kernel = kernel;
    this.qemu = qemu;
    this.qemuPid = host.pid;
    this.qmpSocket = paths.qmp;
    this.gdbSocket = (options.gdb ?? true) ? paths.gdb : undefined;
    this.ramFile = (options.sharedMemory ?? true) ? paths.ram : undefined;
    this.#host = host;
    this.#paths = paths;
    this.#channel = channel;
  }

  async run(command: string, options: { readonly timeout?: number } = {}): Promise<CommandResult> {
    const timeout = options.timeout ?? COMMAND_MS;
    const running = await this.spawn(command);
    const over = new AbortController();
    try {
      return await Promise.race([
        running.wait(),
        delay(timeout, undefined, { signal: over.signal }).then((): never => {
          running.kill();
          throw new LabError(
            `'${command}' did not end within ${timeout} ms in the guest; it wrote: ${running.output()}`,
          );
        }),
      ]);
    } finally {
      over.abort();
    }
  }

  spawn(command: string): Promise<RunningCommand> {
    return this.#channel.start(command);
  }

  readFile(path: string): Promise<Buffer> {
    return this.#channel.readFile(path);
  }

  writeFile(path: string, content: Uint8Array): Promise<void> {
    return this.#channel.writeFile(path, content);
  }

  log(): string {
    return this.#finalLog ?? readLog(this.#paths);
  }

  logProblems(): string[] {
    return findLogProblems(this.log());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#finalLog ??= this.log();
    this.#channel.lose('the guest was stopped');
    await this.#host.stop();
  }
}

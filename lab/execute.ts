import { spawn } from 'node:child_process';
import { LabError, messageOf } from './errors.ts';

/** How a command on the host ended. */
export interface Execution {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link execute}. */
export interface ExecuteOptions {
  readonly cwd?: string;
  /** Set on top of the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command on the host without a shell and waits for its end. Throws {@link LabError} if it cannot be started. */
export function execute(
  command: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<Execution> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new LabError(`cannot run ${command}: ${messageOf(error)}`)));
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** As {@link execute}, but throws {@link LabError} with the last line of its complaint unless the status is 0. */
export async function executeOrFail(
  command: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await execute(command, args, options);
  if (status !== 0) {
    const complaint = stderr.trim().split('\n').at(-1) || `status ${status}`;
    throw new LabError(`${command} ${args[0] ?? ''} failed: ${complaint}`);
  }
  return stdout;
}

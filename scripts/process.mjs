import { spawn } from 'node:child_process';
import { projectEnvironment } from './paths.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Runs a command on this process's terminal, passes signals on to it and returns how it ended. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: 'inherit',
      cwd: options.cwd,
      env: projectEnvironment(options.env),
    });
    const forward = (signal) => {
      // A terminal sends its signals to the child as well; a second one would ask it to hurry.
      if (signal === 'SIGTERM' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const signal of SIGNALS) process.on(signal, forward);
    child.on('error', reject);
    child.on('close', (status, signal) => {
      for (const each of SIGNALS) process.off(each, forward);
      resolve({ status, signal });
    });
  });
}

/** As {@link run}, then ends this process in the same way. */
export async function runToEnd(command, args, options = {}) {
  const { status, signal } = await run(command, args, options);
  if (signal) process.kill(process.pid, signal);
  else process.exitCode = status;
}

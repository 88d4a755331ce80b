import { createInterface } from 'node:readline';
import { releaseAbandoned } from '../../../machine/qemu/abandoned.ts';
import type { KeeperMessage } from './messages.ts';

/**
 * The supervisor's own program: `supervisor MACHINE`, told by the engine on standard input when the machine stands
 * still because of it. Where that input ends while it does, the machine is let run.
 */
const [, , machine = ''] = process.argv;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

let latest: KeeperMessage = 'running';
for await (const line of createInterface({ input: process.stdin })) latest = line as KeeperMessage;
if (latest === 'stopping') {
  try {
    await releaseAbandoned(machine);
    console.error('underwatch: the engine died while the guest was paused; the guest runs again');
  } catch (error) {
    console.error(
      `underwatch: the guest may still be paused: ${error instanceof Error ? error.message : error}`,
    );
    process.exitCode = 1;
  }
}

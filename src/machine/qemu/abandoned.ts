import { setTimeout as sleep } from 'node:timers/promises';
import { TargetError } from '../../errors.ts';
import { GdbClient } from './gdb-client.ts';
import { findGdbEndpoint } from './gdb-endpoint.ts';
import { peerCredentials } from './peer-credentials.ts';
import { QmpClient } from './qmp.ts';
import { qmpRunControl, type RunControl } from './run-control.ts';
import { parseQemuTarget } from './target-name.ts';

/** How long QEMU may take to notice that a monitor's client is gone: it has one at a time. */
const CONNECT_LIMIT_MS = 15_000;
const CONNECT_PAUSE_MS = 50;
/** For how long the machine must have run before it counts as running: a stop may still be under way. */
const CALM_MS = 500;
const LOOK_MS = 20;
const REQUEST_MS = 5000;

/**
 * Lets a machine run that a debugger left behind, its process having died: takes away the breakpoints, which QEMU
 * keeps when a debugger's connection closes, and ends the pause, which it keeps too.
 * @throws TargetError where QEMU cannot be reached; TargetLostError where it goes away meanwhile
 */
export async function releaseAbandoned(name: string): Promise<void> {
  const target = parseQemuTarget(name);
  await using qmp = await connect(target.qmp);
  await detach(qmp, target.gdb);
  await keepRunning(qmpRunControl(qmp));
}

async function connect(path: string): Promise<QmpClient> {
  const deadline = performance.now() + CONNECT_LIMIT_MS;
  for (;;) {
    try {
      return await QmpClient.connect(path);
    } catch (error) {
      if (!(error instanceof TargetError) || performance.now() > deadline) throw error;
      await sleep(CONNECT_PAUSE_MS);
    }
  }
}

/** Detaching ("D" in the remote protocol) removes a process's breakpoints and continues. */
async function detach(qmp: QmpClient, named: string | undefined): Promise<void> {
  const uid = (qmp.fd === undefined ? undefined : peerCredentials(qmp.fd)?.uid) ?? process.getuid?.() ?? 0;
  const endpoint = await findGdbEndpoint(qmp, uid, named);
  const client = await GdbClient.connect(endpoint.address);
  try {
    await client.request('qSupported:multiprocess+', REQUEST_MS);
    await client.request('D;1', REQUEST_MS);
  } finally {
    await client.close();
    await endpoint.release();
  }
}

async function keepRunning(control: RunControl): Promise<void> {
  let since = performance.now();
  while (performance.now() - since < CALM_MS) {
    const state = await control.state();
    if (state === 'paused' || state === 'debug') {
      await control.run();
      since = performance.now();
    }
    await sleep(LOOK_MS);
  }
}

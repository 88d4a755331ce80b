import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { TargetError, UsageError } from '../../errors.ts';
import type { GdbAddress } from './gdb-client.ts';
import type { QmpClient } from './qmp.ts';

/** A gdbstub to connect to. */
export interface GdbEndpoint {
  readonly address: GdbAddress;
  /** Closes the stub again, if it was opened for us. Never throws. */
  release(): Promise<void>;
}

const Chardevs = v.array(v.object({ label: v.string(), filename: v.string() }));
const DISCONNECTED = 'disconnected:';
/** Begins the path of the folder that a stub of our own is in. */
const OWN_FOLDER = join(tmpdir(), 'underwatch-gdb-');

/**
 * The gdbstub of a QEMU: the one that its user named, else the one that QEMU has open, else a new one.
 *
 * QEMU does not say which of its character devices the stub is on. Its own label for one is `gdb`
 * (`-gdb unix:...`, `-s`, the monitor's `gdbserver`), and whoever makes one by hand calls it something like that.
 * @throws TargetError where another debugger is connected, or no stub can be opened
 */
export async function findGdbEndpoint(qmp: QmpClient, owner: number, named?: string): Promise<GdbEndpoint> {
  if (named !== undefined) return { address: parseGdbAddress(named), release: async () => {} };
  const found = await findStub(qmp);
  if (found === undefined) return openEndpoint(qmp, owner);
  const place = found.replace(DISCONNECTED, '');
  if (!found.startsWith(DISCONNECTED)) {
    throw new TargetError(`another debugger is connected to QEMU's gdbstub (${place}): close it first`);
  }
  const address = parseGdbAddress(place);
  const isOwn = 'path' in address && address.path.startsWith(OWN_FOLDER);
  return { address, release: isOwn ? () => closeOwn(qmp, dirname(address.path)) : async () => {} };
}

/** What QEMU says of the stub's character device; one that was closed just now is given time to become free. */
async function findStub(qmp: QmpClient): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    const chardevs = await qmp.query(Chardevs, 'query-chardev');
    const stub =
      chardevs.find(({ label }) => label === 'gdb') ?? chardevs.find(({ label }) => /gdb/i.test(label));
    if (stub === undefined || stub.filename.startsWith(DISCONNECTED) || attempt === 5) return stub?.filename;
    await sleep(100);
  }
}

/** `unix:PATH,server=on`, `tcp:HOST:PORT`, or a plain path. */
export function parseGdbAddress(text: string): GdbAddress {
  const [place = ''] = text.split(',');
  const tcp = /^(?:tcp:)?([^/]*):(\d+)$/.exec(place);
  if (tcp !== null) return { host: reachable(tcp[1] ?? ''), port: Number(tcp[2]) };
  const path = place.replace(/^unix:/, '');
  if (path === '') throw new UsageError(`${text} names no gdb socket: give a path, or tcp:HOST:PORT`);
  return { path };
}

/** A host to connect to, for one that was listened on. */
function reachable(host: string): string {
  const bare = host.replace(/^\[|\]$/g, '');
  return bare === '' || bare === '0.0.0.0' || bare === '::' ? '127.0.0.1' : bare;
}

/** Opens a stub by the monitor, on a socket in a folder that only QEMU's user can enter. */
async function openEndpoint(qmp: QmpClient, owner: number): Promise<GdbEndpoint> {
  const folder = mkdtempSync(OWN_FOLDER);
  const path = join(folder, 'gdb.sock');
  try {
    if (process.getuid?.() === 0 && owner !== 0) chownSync(folder, owner, -1);
    const said = await qmp.monitor(`gdbserver unix:${path},server=on,wait=off`);
    if (said.startsWith('Waiting for gdb connection')) {
      return { address: { path }, release: () => closeOwn(qmp, folder) };
    }
    throw new TargetError(
      `QEMU opens no gdbstub (${said.trim() || 'no reason given'}): start it with -gdb unix:PATH,server=on,wait=off`,
    );
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Closes a stub of our own; also one that an engine which was killed left behind. */
async function closeOwn(qmp: QmpClient, folder: string): Promise<void> {
  await qmp.monitor('gdbserver none').catch(() => {});
  rmSync(folder, { recursive: true, force: true });
}

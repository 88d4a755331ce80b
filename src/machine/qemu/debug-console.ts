import { createConnection, type Socket } from 'node:net';
import * as v from 'valibot';
import { TargetError } from '../../errors.ts';
import type { Doorbell } from '../machine.ts';
import { parseGdbAddress } from './gdb-endpoint.ts';
import type { QmpClient } from './qmp.ts';

/** Where QEMU keeps devices that were given a name, and those that were not. */
const DEVICE_FOLDERS = ['/machine/peripheral', '/machine/peripheral-anon'];
const DEBUG_CONSOLE = 'child<isa-debugcon>';
const DISCONNECTED = 'disconnected:';

const Properties = v.array(v.object({ name: v.string(), type: v.string() }));
const Chardevs = v.array(v.object({ label: v.string(), filename: v.string() }));

/**
 * Connects to the debug console of a machine that has one on a socket of its own (`-chardev socket,id=bell,… -device
 * isa-debugcon,iobase=PORT,chardev=bell`): every byte that the guest writes to the port arrives there. Undefined where
 * there is none, or somebody else is connected.
 */
export async function connectDebugConsole(qmp: QmpClient): Promise<Doorbell | undefined> {
  const chardevs = await qmp.query(Chardevs, 'query-chardev');
  for (const device of await debugConsoles(qmp)) {
    const label = await qmp.query(v.string(), 'qom-get', { path: device, property: 'chardev' });
    const filename = chardevs.find((chardev) => chardev.label === label)?.filename ?? '';
    if (!filename.startsWith(DISCONNECTED)) continue;
    const port = await qmp.query(v.number(), 'qom-get', { path: device, property: 'iobase' });
    return new DebugConsole(port, await connect(filename.slice(DISCONNECTED.length)));
  }
  return undefined;
}

async function debugConsoles(qmp: QmpClient): Promise<string[]> {
  const devices: string[] = [];
  for (const folder of DEVICE_FOLDERS) {
    const children = await qmp.query(Properties, 'qom-list', { path: folder });
    for (const { name, type } of children) if (type === DEBUG_CONSOLE) devices.push(`${folder}/${name}`);
  }
  return devices;
}

function connect(place: string): Promise<Socket> {
  const address = parseGdbAddress(place);
  return new Promise((resolve, reject) => {
    const socket = createConnection(address);
    const fail = (error: Error) =>
      reject(new TargetError(`the debug console at ${place} cannot be reached: ${error.message}`));
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

class DebugConsole implements Doorbell {
  readonly port: number;
  readonly #socket: Socket;

  constructor(port: number, socket: Socket) {
    this.port = port;
    this.#socket = socket;
    // A console that closes rings no more; that the machine is gone is told elsewhere.
    socket.on('error', () => {});
    socket.resume();
  }

  onRing(listener: () => void): void {
    this.#socket.on('data', listener);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { TargetError, TargetLostError, type UnderwatchError } from '../../errors.ts';
import { encodePacket, type GdbEvent, GdbPacketParser, INTERRUPT } from './gdb-protocol.ts';
import { parseStopReply, type StopReply } from './stop-reply.ts';

const REQUEST_TIMEOUT_MS = 15_000;

/** Where a gdbstub listens. */
export type GdbAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** What the owner of a connection is told of what the stub sends on its own. */
export interface GdbListener {
  stopped(reply: StopReply): void;
  /** The connection is gone; called once, and not after `close`. */
  lost(error: UnderwatchError): void;
}

interface Pending {
  readonly request: string;
  readonly resolve: (reply: string) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * A connection to QEMU's gdbstub: requests are answered in the order in which they were sent, any number may be
 * under way, and stop replies are told apart from answers. Knows nothing of what the packets mean.
 */
export class GdbClient {
  readonly #socket: Socket;
  readonly #parser = new GdbPacketParser();
  readonly #pending: Pending[] = [];
  readonly #closed: Promise<void>;
  #listener: GdbListener | undefined;
  #error: UnderwatchError | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#receive(chunk));
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#fail(new TargetLostError('QEMU has ended, or closed the debugger connection'));
        resolve();
      });
    });
  }

  /** Connects; the machine stops. Throws a TargetError where nobody listens. */
  static async connect(address: GdbAddress): Promise<GdbClient> {
    const socket = createConnection(address);
    try {
      await once(socket, 'connect');
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      throw new TargetError(`cannot connect to the gdb socket ${describe(address)}: ${code}`, { cause });
    }
    socket.setNoDelay(true);
    return new GdbClient(socket);
  }

  /** Says who is told of stops and of the end; stop replies before that are dropped. */
  listen(listener: GdbListener): void {
    this.#listener = listener;
    if (this.#error !== undefined) listener.lost(this.#error);
  }

  /**
   * Sends one request and gives its answer.
   * @throws TargetLostError where the connection is gone, TargetError where no answer comes in time
   */
  async request(payload: string, timeout = REQUEST_TIMEOUT_MS): Promise<string> {
    const [reply] = await this.requests([payload], '', timeout);
    return reply ?? '';
  }

  /**
   * Sends several requests in one write and gives their answers, in order.
   * @param last a packet sent after them that has no answer of its own, as `vCont;c`
   */
  requests(payloads: readonly string[], last = '', timeout = REQUEST_TIMEOUT_MS): Promise<string[]> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const answers = payloads.map((request) => this.#expect(request, timeout));
    const packets = (last === '' ? payloads : [...payloads, last]).map(encodePacket);
    this.#socket.write(packets.length === 1 ? (packets[0] ?? '') : Buffer.concat(packets));
    return Promise.all(answers);
  }

  /** Sends a packet that has no answer of its own. */
  send(payload: string): void {
    if (this.#error === undefined) this.#socket.write(encodePacket(payload));
  }

  /** Asks a running machine to stop. A machine that stands still ignores it. */
  interrupt(): void {
    if (this.#error === undefined) this.#socket.write(INTERRUPT);
  }

  /** Sends what is still to be sent, then closes the connection. */
  async close(): Promise<void> {
    this.#listener = undefined;
    this.#socket.end();
    this.#socket.setTimeout(1000, () => this.#socket.destroy());
    this.#socket.destroySoon();
    await this.#closed;
  }

  #expect(request: string, timeout: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail(
          new TargetError(`QEMU's gdbstub did not answer ${brief(request)} within ${timeout / 1000} s`),
        );
      }, timeout);
      this.#pending.push({ request, resolve, reject, timer });
    });
  }

  #receive(chunk: Uint8Array): void {
    for (const event of this.#parser.feed(chunk)) this.#dispatch(event);
  }

  #dispatch(event: GdbEvent): void {
    if (event.kind === 'notification') return;
    if (event.kind === 'malformed') {
      this.#fail(new TargetError(`QEMU's gdbstub sent ${event.reason}`));
      return;
    }
    const packet = Buffer.from(event.payload).toString('latin1');
    const stop = parseStopReply(packet);
    if (stop !== undefined) {
      this.#listener?.stopped(stop);
      return;
    }
    const pending = this.#pending.shift();
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    pending.resolve(packet);
  }

  /** After this nothing can be told apart any more: every request fails, now and later. */
  #fail(error: UnderwatchError): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    for (const pending of this.#pending.splice(0)) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
    this.#socket.destroy();
    this.#listener?.lost(error);
  }
}

function describe(address: GdbAddress): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`;
}

function brief(request: string): string {
  return request.length > 40 ? `${request.slice(0, 40)}…` : request;
}

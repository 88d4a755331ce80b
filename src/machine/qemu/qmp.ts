import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import * as v from 'valibot';
import { TargetError, TargetLostError, type UnderwatchError } from '../../errors.ts';
import { JsonStream, JsonStreamError } from './json-stream.ts';

const GREETING_TIMEOUT_MS = 3000;
const COMMAND_TIMEOUT_MS = 15_000;

const Version = v.object({ major: v.number(), minor: v.number(), micro: v.number() });
const Greeting = v.object({ QMP: v.object({ version: v.object({ qemu: Version }) }) });
const Reply = v.union([
  v.object({ id: v.number(), return: v.unknown() }),
  v.object({ id: v.number(), error: v.object({ class: v.string(), desc: v.string() }) }),
]);
const Event = v.object({ event: v.string(), data: v.optional(v.unknown()) });

/** The version of a QEMU, as its greeting states it. */
export type QemuVersion = v.InferOutput<typeof Version>;

/** QEMU refused a command; `kind` is QEMU's error class. */
export class QmpCommandError extends TargetError {
  readonly kind: string;

  constructor(command: string, kind: string, description: string) {
    super(`QEMU refused ${command}: ${description}`);
    this.kind = kind;
  }
}

interface Pending {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * A client of the QEMU Machine Protocol (docs/interop/qmp-spec in QEMU's sources) on a unix socket. Commands may
 * overlap: replies are matched by id.
 */
export class QmpClient implements AsyncDisposable {
  /** Settles when the connection is gone; never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #path: string;
  readonly #stream = new JsonStream();
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: string) => void>();
  #version: QemuVersion | undefined;
  #greeted = () => {};
  #lastId = 0;
  #lost: UnderwatchError | undefined;

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#lose(new TargetLostError('QEMU has ended, or closed its QMP socket'));
        resolve();
      });
    });
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#receive(chunk));
  }

  /**
   * Connects, waits for the greeting and leaves negotiation mode.
   * @throws TargetError where the socket cannot be connected to, or is not a QMP socket that answers
   */
  static async connect(path: string, greetingTimeout = GREETING_TIMEOUT_MS): Promise<QmpClient> {
    const client = new QmpClient(await open(path), path);
    try {
      await client.#greeting(greetingTimeout);
      await client.execute('qmp_capabilities');
      return client;
    } catch (error) {
      client.#socket.destroy();
      throw error;
    }
  }

  get version(): QemuVersion {
    if (this.#version === undefined) throw new Error('no greeting yet');
    return this.#version;
  }

  /** The file descriptor of the socket, where Node tells it. */
  get fd(): number | undefined {
    return (this.#socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  }

  /** Calls `listener` with the name of every event from now on. */
  onEvent(listener: (event: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /**
   * Executes a command and gives what it returned, checked against `schema`.
   * @throws QmpCommandError where QEMU refuses it, TargetError where it does not answer in time or not as it
   *   should, TargetLostError where the connection is gone
   */
  async query<S extends v.GenericSchema>(
    schema: S,
    command: string,
    parameters?: Readonly<Record<string, unknown>>,
  ): Promise<v.InferOutput<S>> {
    const result = v.safeParse(schema, await this.execute(command, parameters));
    if (!result.success) throw new TargetError(`QEMU's answer to ${command} is not understood`);
    return result.output;
  }

  /** As {@link QmpClient.query}, the answer unchecked. */
  execute(
    command: string,
    parameters?: Readonly<Record<string, unknown>>,
    timeout = COMMAND_TIMEOUT_MS,
  ): Promise<unknown> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new TargetError(`QEMU did not answer ${command} within ${timeout / 1000} s`));
      }, timeout);
      this.#pending.set(id, { command, resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\r\n`);
    });
  }

  /** Executes a command line of the human monitor and gives the text that it printed. */
  monitor(line: string): Promise<string> {
    return this.query(v.string(), 'human-monitor-command', { 'command-line': line });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }

  #greeting(timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new TargetError(silence(this.#path))), timeout);
      this.#greeted = () => {
        clearTimeout(timer);
        resolve();
      };
      this.closed.then(() => {
        clearTimeout(timer);
        reject(this.#lost);
      });
    });
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (const message of this.#stream.feed(chunk)) this.#dispatch(message);
    } catch (cause) {
      if (!(cause instanceof JsonStreamError)) throw cause;
      this.#lose(
        this.#version === undefined
          ? new TargetError(garbage(this.#path, chunk), { cause })
          : new TargetLostError('the QMP socket sent what is not QMP', { cause }),
      );
      this.#socket.destroy();
    }
  }

  #dispatch(message: unknown): void {
    if (v.is(Greeting, message)) {
      this.#version = message.QMP.version.qemu;
      this.#greeted();
    } else if (v.is(Event, message)) {
      for (const listener of this.#listeners) listener(message.event);
    } else if (v.is(Reply, message)) this.#settle(message);
  }

  #settle(reply: v.InferOutput<typeof Reply>): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#pending.delete(reply.id);
    clearTimeout(pending.timer);
    if ('error' in reply) {
      pending.reject(new QmpCommandError(pending.command, reply.error.class, reply.error.desc));
    } else pending.resolve(reply.return);
  }

  #lose(error: UnderwatchError): void {
    this.#lost ??= error;
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(this.#lost);
    }
    this.#pending.clear();
  }
}

async function open(path: string): Promise<Socket> {
  const socket = createConnection(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EAGAIN') throw new TargetError(silence(path), { cause });
    if (code === 'ECONNREFUSED')
      throw new TargetError(`nobody listens on ${path}: its QEMU has ended`, { cause });
    if (code === 'EACCES')
      throw new TargetError(`permission denied on ${path}: run as the user that runs QEMU, or as root`, {
        cause,
      });
    throw new TargetError(`cannot connect to ${path}: ${code}`, { cause });
  }
}

function silence(path: string): string {
  return (
    `${path} accepts a connection but does not greet: another client is connected (QMP serves one at a time; ` +
    'start QEMU with a second -qmp socket), or it is no QMP socket'
  );
}

function garbage(path: string, chunk: Uint8Array): string {
  const isMonitor = Buffer.from(chunk).toString('latin1').includes('monitor - type');
  return isMonitor
    ? `${path} is QEMU's monitor for people, not a QMP socket: start QEMU with -qmp unix:PATH,server=on,wait=off`
    : `${path} is not a QMP socket`;
}

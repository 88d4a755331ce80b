import { connect, type Socket } from 'node:net';
import { LabError, messageOf } from './errors.ts';
import { encodeFrame, type Frame, FrameDecoder } from './frames.ts';

/** How a command in the guest ended, and what it wrote to standard output and standard error. */
export interface CommandResult {
  /** Exit status; 128 + signal if a signal ended it, as a shell counts. */
  readonly status: number;
  /** The signal that ended it, absent if it exited by itself. */
  readonly signal?: number;
  readonly output: string;
}

/** A request that the agent works on: a command, or the reading or writing of a file. */
class Job {
  readonly started: Promise<number>;
  readonly ended: Promise<number>;
  readonly chunks: Buffer[] = [];
  #start: (pid: number) => void = () => {};
  #end: (waitStatus: number) => void = () => {};
  #failures: ((error: Error) => void)[] = [];

  constructor() {
    this.started = new Promise((resolve, reject) => {
      this.#start = resolve;
      this.#failures.push(reject);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#failures.push(reject);
    });
    // Whoever needs one of the two awaits it; the other must not bring the process down.
    this.started.catch(() => {});
    this.ended.catch(() => {});
  }

  /** Takes a frame of this job; true if it was the last. */
  take(frame: Frame): boolean {
    if (frame.kind === 'S') this.#start(frame.body.readUInt32LE(0));
    if (frame.kind === 'O' || frame.kind === 'D') this.chunks.push(frame.body);
    if (frame.kind === 'E') this.#end(frame.body.readUInt32LE(0));
    if (frame.kind === 'X') this.fail(new LabError(`in the guest: ${frame.body.toString('utf8')}`));
    return frame.kind === 'E' || frame.kind === 'X';
  }

  fail(error: Error): void {
    for (const reject of this.#failures) reject(error);
  }
}

/** A command that runs in the guest. */
export interface RunningCommand {
  /** Its process in the guest: the command itself where it is a simple one, else the shell that runs it. */
  readonly pid: number;
  /** What it has written so far. */
  output(): string;
  /** Waits for its end. Throws {@link LabError} when the guest goes away first. */
  wait(): Promise<CommandResult>;
  /** Sends a signal to it and its children. */
  kill(signal?: number): void;
}

/** The host's end of the control channel to the agent in a guest. */
export class ControlChannel {
  readonly #socket: Socket;
  readonly #jobs = new Map<number, Job>();
  readonly #decoder = new FrameDecoder();
  #next = 1;
  #lost: LabError | undefined;
  #ready: () => void = () => {};

  /** Resolved when the agent has said that it is there. */
  readonly ready: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.ready = new Promise((resolve) => {
      this.#ready = resolve;
    });
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', (error) => this.lose(`the control channel broke: ${messageOf(error)}`));
    socket.on('close', () => this.lose('the guest went away'));
  }

  /** Connects to QEMU's end of the channel, a unix socket. */
  static connect(path: string): Promise<ControlChannel> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new ControlChannel(socket));
      });
    });
  }

  /** Starts a shell command. */
  async start(command: string): Promise<RunningCommand> {
    const [number, job] = this.#request('R', Buffer.from(command));
    const pid = await job.started;
    const output = () => Buffer.concat(job.chunks).toString('utf8');
    return {
      pid,
      output,
      wait: async () => ({ ...decodeWaitStatus(await job.ended), output: output() }),
      kill: (signal = 9) => this.#send(number, 'K', Buffer.of(signal)),
    };
  }

  /** Reads a file of the guest whole. */
  async readFile(path: string): Promise<Buffer> {
    const [, job] = this.#request('F', Buffer.from(path));
    await job.ended;
    return Buffer.concat(job.chunks);
  }

  /** Writes a file in the guest, executable, in place of what was there. */
  async writeFile(path: string, content: Uint8Array): Promise<void> {
    const [, job] = this.#request('W', Buffer.concat([Buffer.from(`${path}\0`), content]));
    await job.ended;
  }

  /** Ends every pending request with an error; later ones fail at once. */
  lose(reason: string): void {
    this.#lost ??= new LabError(reason);
    for (const job of this.#jobs.values()) job.fail(this.#lost);
    this.#jobs.clear();
    this.#socket.destroy();
  }

  #request(kind: string, body: Uint8Array): [number, Job] {
    if (this.#lost) throw this.#lost;
    const number = this.#next++;
    const job = new Job();
    this.#jobs.set(number, job);
    this.#send(number, kind, body);
    return [number, job];
  }

  #send(number: number, kind: string, body: Uint8Array): void {
    if (!this.#lost) this.#socket.write(encodeFrame(number, kind, body));
  }

  #receive(bytes: Buffer): void {
    for (const frame of this.#decoder.push(bytes)) {
      if (frame.kind === 'H') this.#ready();
      if (this.#jobs.get(frame.job)?.take(frame)) this.#jobs.delete(frame.job);
    }
  }
}

/** Splits a wait status (waitpid(2)) into exit status and signal. */
function decodeWaitStatus(waitStatus: number): { status: number; signal?: number } {
  const signal = waitStatus & 0x7f;
  return signal === 0 ? { status: (waitStatus >> 8) & 0xff } : { status: 128 + signal, signal };
}

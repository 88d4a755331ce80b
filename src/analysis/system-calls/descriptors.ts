import type { SocketAddress } from './socket-address.ts';

/** What a file descriptor of the emulated process stands for. */
export interface Descriptor {
  readonly kind: 'terminal' | 'file' | 'socket' | 'memfd' | 'pipe' | 'other';
  /** Path of a file, name of a memfd. */
  readonly path?: string;
  /** Opened so that it can be written. */
  readonly writable?: boolean;
  /** Of sockets: whether it leads out (connect) or lets in (accept), and the address used. */
  role?: 'connected' | 'bound' | 'listening' | 'accepted';
  address?: SocketAddress;
  /** How often it was read. */
  reads: number;
  written: boolean;
}

const LIMIT = 1024;

/** The table of file descriptors: 0, 1 and 2 are there, new ones take the lowest free number. */
export class Descriptors {
  readonly #table = new Map<number, Descriptor>();

  constructor() {
    for (let fd = 0; fd < 3; fd++) this.#table.set(fd, { kind: 'terminal', reads: 0, written: false });
  }

  get(fd: number): Descriptor | undefined {
    return this.#table.get(fd);
  }

  add(descriptor: Omit<Descriptor, 'reads' | 'written'>, from = 0): number {
    let fd = from;
    while (this.#table.has(fd) && fd < LIMIT) fd++;
    this.#table.set(fd, { ...descriptor, reads: 0, written: false });
    return fd;
  }

  /** Both numbers stand for the same thing from now on. An unknown source is taken for one opened before. */
  duplicate(from: number, to: number): void {
    if (to < 0 || to >= LIMIT) return;
    const source = this.#table.get(from) ?? { kind: 'other', reads: 0, written: false };
    this.#table.set(from, source);
    this.#table.set(to, source);
  }

  close(fd: number): void {
    this.#table.delete(fd);
  }
}

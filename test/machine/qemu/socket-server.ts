import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real unix socket that a test answers on. */
export class SocketServer implements AsyncDisposable {
  readonly path: string;
  readonly sockets = new Set<Socket>();
  readonly #folder = mkdtempSync(join(tmpdir(), 'underwatch-test-'));
  readonly #server;

  private constructor(onConnection: (socket: Socket) => void) {
    this.path = join(this.#folder, 'socket');
    this.#server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {});
      onConnection(socket);
    });
  }

  static listen(onConnection: (socket: Socket) => void): Promise<SocketServer> {
    const server = new SocketServer(onConnection);
    return new Promise((resolve) => {
      server.#server.listen(server.path, () => resolve(server));
    });
  }

  /** Ends every connection, as QEMU does when it is killed. */
  drop(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

import type { Socket } from 'node:net';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { TargetError, TargetLostError } from '../../../src/errors.ts';
import { QmpClient, QmpCommandError } from '../../../src/machine/qemu/qmp.ts';
import { SocketServer } from './socket-server.ts';

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}\r\n';

interface Command {
  readonly execute: string;
  readonly id: number;
  readonly arguments?: unknown;
}

/** Greets, accepts capabilities, and hands every other command to the test. */
function qmpServer(answer: (command: Command, socket: Socket) => void): Promise<SocketServer> {
  return SocketServer.listen((socket) => {
    socket.write(GREETING);
    socket.on('data', (chunk) => {
      for (const line of chunk.toString().split('\r\n').filter(Boolean)) {
        const command: Command = JSON.parse(line);
        if (command.execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${command.id}}\r\n`);
        else answer(command, socket);
      }
    });
  });
}

describe('a QMP session', () => {
  test('knows the version, and matches answers that come in another order', async () => {
    const waiting: Command[] = [];
    await using server = await qmpServer((command, socket) => {
      waiting.unshift(command);
      if (waiting.length < 3) return;
      for (const { id, execute } of waiting) socket.write(JSON.stringify({ return: `of ${execute}`, id }));
    });
    await using qmp = await QmpClient.connect(server.path);
    expect(qmp.version).toEqual({ major: 7, minor: 2, micro: 22 });
    expect(await Promise.all(['a', 'b', 'c'].map((name) => qmp.execute(name)))).toEqual([
      'of a',
      'of b',
      'of c',
    ]);
  });

  test('takes answers and events byte by byte', async () => {
    await using server = await qmpServer(async ({ id }, socket) => {
      for (const byte of Buffer.from(
        `{"event": "RESUME", "timestamp": {}}\r\n{"return": "gr\u00fc\u00df", "id": ${id}}`,
      )) {
        socket.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
    });
    await using qmp = await QmpClient.connect(server.path);
    const events: string[] = [];
    qmp.onEvent((event) => events.push(event));
    expect(await qmp.monitor('info chardev')).toBe('gr\u00fc\u00df');
    expect(events).toEqual(['RESUME']);
  });

  test('tells a refusal with QEMU\u2019s own words, and an answer of the wrong shape', async () => {
    await using server = await qmpServer(({ id, execute }, socket) => {
      if (execute === 'wrong') socket.write(`{"return": [1], "id": ${id}}`);
      else socket.write(`{"error": {"class": "CommandNotFound", "desc": "no such thing"}, "id": ${id}}`);
    });
    await using qmp = await QmpClient.connect(server.path);
    const refused = qmp.execute('nonsense');
    await expect(refused).rejects.toThrow(QmpCommandError);
    await expect(refused).rejects.toThrow('QEMU refused nonsense: no such thing');
    await expect(qmp.query(v.string(), 'wrong')).rejects.toThrow(/not understood/);
  });

  test('an answer that does not come is an error in time; answers to nothing are let go', async () => {
    await using server = await qmpServer(({ execute }, socket) => {
      if (execute === 'quiet') socket.write('{"return": {}, "id": 999}{"surprise": 1}');
    });
    await using qmp = await QmpClient.connect(server.path);
    await expect(qmp.execute('quiet', {}, 50)).rejects.toThrow('did not answer quiet within 0.05 s');
  });

  test('a connection that ends fails what is under way and all that comes', async () => {
    await using server = await qmpServer(() => server.drop());
    const qmp = await QmpClient.connect(server.path);
    await expect(qmp.execute('a')).rejects.toThrow(TargetLostError);
    await qmp.closed;
    await expect(qmp.execute('b')).rejects.toThrow(TargetLostError);
  });

  test('garbage in the middle ends the session', async () => {
    await using server = await qmpServer((_, socket) => socket.write('garbage'));
    const qmp = await QmpClient.connect(server.path);
    await expect(qmp.execute('a')).rejects.toThrow(TargetLostError);
  });
});

describe('what is no QMP socket', () => {
  test.each([
    ['SSH-2.0-OpenSSH', /is not a QMP socket/],
    ["QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ", /monitor for people/],
    ['', /does not greet: another client is connected/],
    ['{"hello": 1}', /does not greet/],
  ])('%j', async (greeting, message) => {
    await using server = await SocketServer.listen((socket) => socket.write(greeting));
    const attempt = QmpClient.connect(server.path, 100);
    await expect(attempt).rejects.toThrow(TargetError);
    await expect(attempt).rejects.toThrow(message);
  });

  test('a socket that is closed at once', async () => {
    await using server = await SocketServer.listen((socket) => socket.destroy());
    await expect(QmpClient.connect(server.path)).rejects.toThrow(TargetLostError);
  });

  test('a socket that nobody listens on', async () => {
    await using server = await SocketServer.listen(() => {});
    await expect(QmpClient.connect(`${server.path}-none`)).rejects.toThrow(TargetError);
  });
});

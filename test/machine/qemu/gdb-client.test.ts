import { describe, expect, test } from 'vitest';
import { TargetError, TargetLostError } from '../../../src/errors.ts';
import { GdbClient } from '../../../src/machine/qemu/gdb-client.ts';
import { encodePacket } from '../../../src/machine/qemu/gdb-protocol.ts';
import type { StopReply } from '../../../src/machine/qemu/stop-reply.ts';
import { SocketServer } from './socket-server.ts';

describe('a gdb connection', () => {
  test('sends requests in one write without acknowledgements, and tells answers from stops', async () => {
    const received: string[] = [];
    await using server = await SocketServer.listen((socket) =>
      socket.on('data', (chunk) => {
        received.push(chunk.toString());
        for (const packet of ['OK', 'T02thread:p01.01;', 'E22']) socket.write(encodePacket(packet));
      }),
    );
    const client = await GdbClient.connect({ path: server.path });
    const stops: StopReply[] = [];
    client.listen({ stopped: (reply) => stops.push(reply), lost: () => {} });
    expect(await client.requests(['a', 'b'], 'vCont;c')).toEqual(['OK', 'E22']);
    expect(stops).toEqual([{ kind: 'stopped', signal: 2, vcpu: 1 }]);
    expect(received).toEqual(['$a#61$b#62$vCont;c#a8']);
    await client.close();
  });

  test('fails as a whole once an answer does not come, as nothing can be told apart after that', async () => {
    await using server = await SocketServer.listen(() => {});
    const client = await GdbClient.connect({ path: server.path });
    const [slow, behind] = [client.request('a', 50), client.request('b', 1000)];
    const told = expect(behind).rejects.toThrow(TargetError);
    await expect(slow).rejects.toThrow("QEMU's gdbstub did not answer a within 0.05 s");
    await told;
    await expect(client.request('c')).rejects.toThrow(TargetError);
  });

  test('tells its listener, whenever it comes, that the connection is lost', async () => {
    await using server = await SocketServer.listen((socket) => socket.destroy());
    const client = await GdbClient.connect({ path: server.path });
    await expect(client.request('a')).rejects.toThrow(TargetLostError);
    const lost = new Promise((resolve) => client.listen({ stopped: () => {}, lost: resolve }));
    expect(await lost).toBeInstanceOf(TargetLostError);
  });

  test('that nobody answers to is a TargetError', async () => {
    await expect(GdbClient.connect({ path: '/no/such/socket' })).rejects.toThrow(
      /cannot connect to the gdb socket/,
    );
  });
});

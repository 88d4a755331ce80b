import type { Descriptor } from '../descriptors.ts';
import { decodeSocketAddress } from '../socket-address.ts';
import {
  type Answer,
  EBADF,
  EFAULT,
  type EnteredCall,
  type Outcome,
  type ProcessModel,
  poke,
  wide,
  word,
  words,
} from './answer.ts';
import { readInto } from './files.ts';

/** A descriptor that nobody opened here was opened before: by the process that the code runs in. */
function socketOf(call: EnteredCall, process: ProcessModel): Descriptor | undefined {
  const fd = word(call, 0);
  if (fd < 0) return undefined;
  const known = process.descriptors.get(fd);
  if (known !== undefined && known.kind !== 'terminal') return known;
  process.descriptors.close(fd);
  process.descriptors.add({ kind: 'socket' }, fd);
  return process.descriptors.get(fd);
}

function withAddress(role: 'connected' | 'bound'): Answer {
  return (call, process) => {
    const raw = call.raw[1] ?? { low: 0, high: 0 };
    const bytes = process.memory.peek(raw.high, raw.low, Math.min(wide(call, 2), 128));
    if (bytes.length < 2) return EFAULT;
    const socket = socketOf(call, process);
    if (socket === undefined) return EBADF;
    socket.role = role;
    const address = decodeSocketAddress(bytes);
    if (address !== undefined) socket.address = address;
    return 0;
  };
}

function listen(call: EnteredCall, process: ProcessModel): Outcome {
  const socket = socketOf(call, process);
  if (socket !== undefined) socket.role = 'listening';
  return 0;
}

/** Somebody connects at once. */
function accept(call: EnteredCall, process: ProcessModel): Outcome {
  const listener = socketOf(call, process);
  const address = listener?.address;
  return process.descriptors.add({
    kind: 'socket',
    role: 'accepted',
    ...(address === undefined ? {} : { address }),
  });
}

function send(call: EnteredCall, process: ProcessModel): Outcome {
  const socket = process.descriptors.get(word(call, 0));
  if (socket !== undefined) socket.written = true;
  return wide(call, 2);
}

function receive(call: EnteredCall, process: ProcessModel): Outcome {
  return readInto(call, process, word(call, 0), 1, wide(call, 2));
}

function socketpair(call: EnteredCall, process: ProcessModel): Outcome {
  const [a, b] = [process.descriptors.add({ kind: 'socket' }), process.descriptors.add({ kind: 'socket' })];
  return poke(call, 3, process, words(a, b)) ? 0 : EFAULT;
}

/** A peer on the loopback, so that code which looks for its own connection among all descriptors finds one. */
function peer(call: EnteredCall, process: ProcessModel): Outcome {
  const address = Uint8Array.of(2, 0, 0x11, 0x5c, 127, 0, 0, 1);
  const socket = socketOf(call, process);
  if (socket !== undefined) socket.role ??= 'accepted';
  return poke(call, 1, process, address) ? 0 : EFAULT;
}

export const SOCKET_ANSWERS: Readonly<Record<string, Answer>> = {
  socket: (_call, process) => process.descriptors.add({ kind: 'socket' }),
  connect: withAddress('connected'),
  bind: withAddress('bound'),
  listen,
  accept,
  accept4: accept,
  send,
  sendto: send,
  recv: receive,
  recvfrom: receive,
  socketpair,
  getpeername: peer,
  getsockname: peer,
};

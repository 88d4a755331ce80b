import { expect, test } from 'vitest';
import { parseStopReply, parseThreads } from '../../../src/machine/qemu/stop-reply.ts';

test.each([
  ['T05thread:p01.02;', { kind: 'stopped', signal: 5, vcpu: 2 }],
  ['T05thread:p01.1f;', { kind: 'stopped', signal: 5, vcpu: 31 }],
  ['T02thread:01;', { kind: 'stopped', signal: 2, vcpu: 1 }],
  ['T05core:01;', { kind: 'stopped', signal: 5 }],
  ['S05', { kind: 'stopped', signal: 5 }],
  ['W00', { kind: 'ended', signal: 0 }],
  ['X09;process:1', { kind: 'ended', signal: 9 }],
])('%s is a stop reply', (packet, expected) => {
  expect(parseStopReply(packet)).toEqual(expected);
});

test.each(['OK', 'E22', '', 'mp01.01', 'T5', '0000', 'l', 'PacketSize=1000'])('%j is none', (packet) => {
  expect(parseStopReply(packet)).toBeUndefined();
});

test('threads, with and without their process', () => {
  expect(parseThreads('mp01.01,p01.0a')).toEqual([1, 10]);
  expect(parseThreads('m01')).toEqual([1]);
  expect(parseThreads('mnonsense')).toEqual([]);
  expect(parseThreads('l')).toBeUndefined();
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodePacket,
  type GdbEvent,
  GdbPacketParser,
  littleEndianHex,
} from '../../../src/machine/qemu/gdb-protocol.ts';

function feed(text: string, limit?: number): (string | { malformed: string })[] {
  return show(new GdbPacketParser(limit).feed(Buffer.from(text, 'latin1')));
}

function show(events: readonly GdbEvent[]): (string | { malformed: string })[] {
  return events.map((event) =>
    event.kind === 'malformed' ? { malformed: event.reason } : Buffer.from(event.payload).toString('latin1'),
  );
}

describe('packets come out', () => {
  test('of a plain stream, acknowledgements and garbage between them taken in', () => {
    expect(feed('+$OK#9a-+\x03xx$#00$T05thread:p01.02;#07')).toEqual(['OK', '', 'T05thread:p01.02;']);
  });

  test('with either case of checksum digits', () => {
    expect(feed('$OK#9A')).toEqual(['OK']);
  });

  test('with escapes and runs expanded', () => {
    expect(feed(`$a}${String.fromCharCode(0x7d ^ 0x20)}b#${sum(`a}${String.fromCharCode(0x5d)}b`)}`)).toEqual(
      ['a}b'],
    );
    expect(feed(`$0* 1#${sum('0* 1')}`)).toEqual(['00001']);
    expect(feed(`$x*~#${sum('x*~')}`)).toEqual(['x'.repeat(98)]);
  });

  test('of an escaped character that a run repeats', () => {
    const raw = `}${String.fromCharCode(0x2a ^ 0x20)}*"`;
    expect(feed(`$${raw}#${sum(raw)}`)).toEqual(['******']);
  });

  test('and notifications by their own kind', () => {
    expect(new GdbPacketParser().feed(Buffer.from('%Stop:T05#47')).map(({ kind }) => kind)).toEqual([
      'malformed',
    ]);
    expect(new GdbPacketParser().feed(Buffer.from(`%Stop:T05#${sum('Stop:T05')}`))).toMatchObject([
      { kind: 'notification' },
    ]);
  });
});

describe('malformed packets are told and survived', () => {
  test.each([
    ['a wrong checksum', '$OK#9b', { malformed: 'a wrong checksum' }],
    ['a checksum that is none', '$OK#zz', { malformed: 'a wrong checksum' }],
    ['an empty packet without a checksum', '$#zz', { malformed: 'a wrong checksum' }],
    ['a run of nothing', `$*"#${sum('*"')}`, { malformed: 'a run length that is not one' }],
    ['a run that is too short', `$a*\x1f#${sum('a*\x1f')}`, { malformed: 'a run length that is not one' }],
    ['a packet in a packet', '$par', { malformed: 'a packet that another one interrupts' }],
  ])('%s', (_, text, expected) => {
    expect(feed(`${text}$OK#9a`)).toEqual([expected, 'OK']);
  });

  test('a packet longer than the limit, a run that makes it so included', () => {
    const long = 'a'.repeat(101);
    const tooLong = { malformed: 'a packet longer than 100 bytes' };
    expect(feed(`$${long}#${sum(long)}$OK#9a`, 100)).toEqual([tooLong, 'OK']);
    const run = 'a*~*~';
    expect(feed(`$${run}#${sum(run)}$OK#9a`, 100)).toEqual([tooLong, 'OK']);
  });
});

describe('properties', () => {
  test('what is encoded is decoded, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), fc.array(fc.nat(50)), (payloads, cuts) => {
        const bytes = Buffer.concat(payloads.map((payload) => encodePacket(payload)));
        const parser = new GdbPacketParser();
        const events: GdbEvent[] = [];
        let from = 0;
        for (const length of [...cuts, bytes.length]) {
          events.push(...parser.feed(bytes.subarray(from, from + length)));
          from += length;
        }
        expect(events).toEqual(
          payloads.map((payload) => ({ kind: 'packet', payload: new Uint8Array(payload) })),
        );
      }),
      { numRuns: 300, seed: 2 },
    );
  });

  test('after any garbage, a packet or two later all is well', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (garbage) => {
        const parser = new GdbPacketParser(200);
        parser.feed(garbage);
        parser.feed(Buffer.from('#00$#00'));
        expect(show(parser.feed(Buffer.from('$OK#9a')))).toEqual(['OK']);
      }),
      { numRuns: 1000, seed: 3 },
    );
  });

  test('garbage alone never throws and never gives more than was sent', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('$', '#', '}', '*', '0', 'a', '%', '~', '\x00') }),
        (text) => {
          for (const event of feed(text, 50))
            if (typeof event === 'string') expect(event.length).toBeLessThanOrEqual(50);
        },
      ),
      { numRuns: 2000, seed: 4 },
    );
  });
});

test('registers are written lowest byte first', () => {
  expect(littleEndianHex(0xffff_ffff_8100_0000n, 8)).toBe('00000081ffffffff');
  expect(littleEndianHex(0x246n, 4)).toBe('46020000');
});

function sum(payload: string): string {
  let total = 0;
  for (const byte of Buffer.from(payload, 'latin1')) total += byte;
  return (total & 0xff).toString(16).padStart(2, '0');
}

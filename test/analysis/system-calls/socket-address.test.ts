import { describe, expect, test } from 'vitest';
import { decodeSocketAddress } from '../../../src/analysis/system-calls/socket-address.ts';

function bytes(hex: string): Uint8Array {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}

describe('socket addresses', () => {
  test.each([
    ['0200 115c 7f000001 0000000000000000', '127.0.0.1:4444'],
    ['0a00 01bb 00000000 00000000000000000000000000000001 00000000', '[::1]:443'],
    ['0a00 01bb 00000000 20010db8000000000000000000000001 00000000', '[2001:db8::1]:443'],
    ['0a00 0001 00000000 00000000000000000000000000000000 00000000', '[::]:1'],
    [`0100 ${Buffer.from('/tmp/s\0').toString('hex')}`, 'unix:"/tmp/s"'],
    [`0100 00 ${Buffer.from('abs').toString('hex')}`, 'unix:@"abs"'],
    ['1000 0000', 'family 16'],
  ])('%s is %s', (hex, text) => {
    expect(decodeSocketAddress(bytes(hex))?.text).toBe(text);
  });

  test('cut short, it is no address', () => {
    expect(decodeSocketAddress(bytes('02'))).toBeUndefined();
    expect(decodeSocketAddress(bytes('0200115c'))?.text).toBe('family 2');
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeText, encodeText } from '../../../src/linux/files/text.ts';

test('any bytes are kept', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(Buffer.from(encodeText(decodeText(bytes)))).toEqual(Buffer.from(bytes));
    }),
  );
});

test('UTF-8 is text as it is, other bytes are lone surrogates', () => {
  expect(decodeText(Buffer.from('grüß € 🎈'))).toBe('grüß € 🎈');
  expect(decodeText(Buffer.from([0xf0, 0x9f, 0x8e, 0x41]))).toBe('\udcf0\udc9f\udc8eA');
  expect(decodeText(Buffer.from([0xed, 0xa0, 0x80]))).toBe('\udced\udca0\udc80');
});

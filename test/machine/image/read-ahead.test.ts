import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReadAhead } from '../../../src/machine/image/file/read-ahead.ts';

const SIZE = 300_000;

test('reading ahead gives what the file gives, to its end and beyond', () => {
  const content = Buffer.alloc(SIZE);
  for (let at = 0; at + 4 <= SIZE; at += 4) content.writeUInt32LE(at, at);
  let reads = 0;
  const ahead = new ReadAhead({
    size: SIZE,
    read: (position, target) => {
      reads++;
      return content.copy(target, 0, Math.min(position, SIZE));
    },
  });
  const piece = fc.record({
    position: fc.integer({ min: 0, max: SIZE + 100_000 }),
    length: fc.integer({ min: 0, max: 5000 }),
  });
  let asked = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      for (const { position, length } of pieces) {
        asked++;
        const target = Buffer.alloc(length);
        const count = ahead.read(position, target);
        expect(target.subarray(0, count)).toEqual(content.subarray(position, position + length));
      }
    }),
  );
  expect(reads).toBeLessThan(asked);
});

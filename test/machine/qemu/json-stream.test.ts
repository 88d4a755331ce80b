import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonStream, JsonStreamError } from '../../../src/machine/qemu/json-stream.ts';

test('objects come out whole, however the bytes are cut and the JSON is laid out', () => {
  const objects = fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), { maxLength: 5 });
  fc.assert(
    fc.property(objects, fc.boolean(), fc.array(fc.nat(60)), (values, pretty, cuts) => {
      const text = values.map((value) => `${JSON.stringify(value, null, pretty ? 4 : 0)}\r\n`).join('');
      const stream = new JsonStream();
      const got: unknown[] = [];
      for (const chunk of cut(Buffer.from(text), cuts)) got.push(...stream.feed(chunk));
      expect(got).toEqual(JSON.parse(JSON.stringify(values)));
    }),
    { numRuns: 300, seed: 1 },
  );
});

test('what is not JSON is refused at its first byte', () => {
  expect(() => new JsonStream().feed(Buffer.from('QEMU 7.2.22 monitor'))).toThrow(JsonStreamError);
  expect(() => new JsonStream().feed(Buffer.from('{"a":1}}'))).toThrow(JsonStreamError);
  expect(() => new JsonStream().feed(Buffer.from('{nonsense}'))).toThrow(JsonStreamError);
});

test('an object that never ends is refused at the limit', () => {
  const stream = new JsonStream(1000);
  stream.feed(Buffer.from('{"a":"'));
  const feedAll = () => {
    for (let i = 0; i < 20; i++) stream.feed(Buffer.alloc(100, 'x'));
  };
  expect(feedAll).toThrow(/longer than 1000/);
});

function* cut(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  let from = 0;
  for (const length of cuts) {
    yield bytes.subarray(from, from + length);
    from += length;
  }
  yield bytes.subarray(from);
}

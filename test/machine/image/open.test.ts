import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { TargetError } from '../../../src/errors.ts';
import { ImageError } from '../../../src/machine/image/image.ts';
import { openImage } from '../../../src/machine/image/open.ts';
import { ramRanges } from '../../../src/machine/image/ram-layout.ts';
import { gpa } from '../../../src/memory/address.ts';
import { PhysicalMemoryError } from '../../../src/memory/physical-memory.ts';
import { PAGE, sampleRange } from '../../support/images/memory.ts';
import { SAMPLE_IMAGES, type SampleImage, VMCOREINFO } from '../../support/images/samples.ts';
import { ImageFolder } from '../../support/images/writer.ts';

const folder = new ImageFolder();
afterAll(() => folder[Symbol.dispose]());

function write({ name, content, beside }: SampleImage): string {
  if (beside !== undefined) folder.write(path.parse(name).name + beside[0], beside[1]);
  return folder.write(name, content);
}

describe.each(SAMPLE_IMAGES)('$name', (sample) => {
  test('is told by its content and gives back every byte', async () => {
    await using image = openImage(write(sample));
    expect(image.format).toBe(sample.format);
    expect(image.notes).toEqual([]);
    expect(image.memory.ranges).toEqual(
      sample.memory.map(({ start, bytes }) => ({ start, size: bytes.length })),
    );
    for (const { start, bytes } of sample.memory) {
      const whole = Buffer.alloc(bytes.length);
      image.memory.read(start, whole);
      expect(whole.equals(bytes)).toBe(true);
    }
  });

  test('reads words anywhere, aligned or not, and across pages in bulk', async () => {
    await using image = openImage(write(sample));
    for (const { start, bytes } of sample.memory) {
      for (let at = 0; at < bytes.length - 8; at += 1021) {
        expect(image.memory.u8(start + at)).toBe(bytes.readUInt8(at));
        if (at % PAGE < PAGE - 4) {
          expect(image.memory.u16(start + at)).toBe(bytes.readUInt16LE(at));
          expect(image.memory.u32(start + at)).toBe(bytes.readUInt32LE(at));
        }
        expect(image.memory.u32(start + at - (at % 4))).toBe(bytes.readUInt32LE(at - (at % 4)));
      }
      const part = Buffer.alloc(5000);
      image.memory.read(start + 4000, part);
      expect(part.equals(bytes.subarray(4000, 9000))).toBe(true);
    }
  });

  test('has nothing where the machine had nothing', async () => {
    await using image = openImage(write(sample));
    for (const { start, bytes } of sample.memory) {
      const end = start + bytes.length;
      expect(image.memory.contains(end - 8, 8)).toBe(true);
      expect(image.memory.contains(end - 8, 9)).toBe(false);
      expect(() => image.memory.u32(end)).toThrow(PhysicalMemoryError);
      expect(() => image.memory.read(end - 100, Buffer.alloc(101))).toThrow(PhysicalMemoryError);
      expect(() => image.memory.read(end - 100, Buffer.alloc(200_000))).toThrow(PhysicalMemoryError);
    }
    for (const address of [-1, -5, 2 ** 44, 2 ** 45, 2 ** 52, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => image.memory.u8(address)).toThrow(PhysicalMemoryError);
    }
  });

  test('a file that shrinks while it is open gives typed errors and nothing else', async () => {
    const file = write(sample);
    await using image = openImage(file);
    truncateSync(file, 100);
    if (sample.beside?.[0] === '.vmem') truncateSync(path.join(folder.path, 'state.vmem'), 100);
    const [range] = sample.memory;
    expect(() => image.memory.read(range?.start ?? 0, Buffer.alloc(range?.bytes.length ?? 0))).toThrow(
      PhysicalMemoryError,
    );
    write(sample);
  });

  test('is unreadable once it is closed', async () => {
    const image = openImage(write(sample));
    const address = sample.memory[0]?.start ?? 0;
    image.memory.u32(address);
    await image[Symbol.asyncDispose]();
    await image[Symbol.asyncDispose]();
    expect(() => image.memory.u32(address)).toThrow(PhysicalMemoryError);
  });
});

describe('what an image says besides memory', () => {
  test.each(['elf', 'kdump-zlib', 'flattened'])('%s: VMCOREINFO and registers', async (name) => {
    const sample = SAMPLE_IMAGES.find((image) => image.name === name);
    if (sample === undefined) throw new Error(`no sample ${name}`);
    await using image = openImage(write(sample));
    expect(image.vmcoreinfo).toBe(VMCOREINFO);
    expect(image.vcpus.length).toBe(2);
    const [, second] = image.vcpus;
    expect(second?.registers.get('rbx')).toBe(0x2001n);
    expect(second?.registers.get('rip')).toBe(0x2010n);
    expect(second?.registers.get('eflags')).toBe(0x2011n);
    expect(second?.registers.get('cs')).toBe(0x10n);
    expect(second?.registers.get('ss')).toBe(0x15n);
    expect(second?.registers.get('gs_base')).toBe(0xffff_0000_0000_0004n);
    expect(second?.registers.get('cr3')).toBe(0xc3n);
    expect(second?.registers.get('k_gs_base')).toBe(0x1234n);
    expect(second?.idtBase).toBe(0xffff_0000_0000_0009n);
  });
});

describe('a file without headers', () => {
  test('is laid out as the ranges say', async () => {
    const bytes = sampleRange(0, 300).bytes;
    const file = folder.write('backend', bytes);
    const ranges = [
      { start: gpa(0), size: 100 * PAGE, offset: 0 },
      { start: gpa(2 ** 32), size: 200 * PAGE, offset: 100 * PAGE },
    ];
    await using image = openImage(file, { ranges });
    expect(image.memory.u32(2 ** 32 + 17 * PAGE)).toBe(117 * PAGE);
    expect(() => image.memory.u32(100 * PAGE)).toThrow(PhysicalMemoryError);
  });

  test('says what of the ranges is not in the file', async () => {
    const file = folder.write('short', sampleRange(0, 10).bytes);
    await using image = openImage(file, { ranges: [{ start: gpa(0), size: 20 * PAGE, offset: 0 }] });
    expect(image.notes).toEqual(['memory at 0xa000 to 0x14000 lies beyond the end of the file']);
    expect(() => openImage(file, { ranges: [{ start: gpa(0), size: 0, offset: 0 }] })).toThrow(ImageError);
  });

  test('that ends within a page is readable up to its last byte', async () => {
    const bytes = sampleRange(0, 300).bytes.subarray(0, 299 * PAGE - 4001);
    await using image = openImage(folder.write('cut', bytes));
    expect(image.memory.u8(bytes.length - 1)).toBe(bytes.at(-1));
    expect(image.memory.u32(bytes.length - 4)).toBe(bytes.readUInt32LE(bytes.length - 4));
    expect(() => image.memory.u32(bytes.length - 3)).toThrow(PhysicalMemoryError);
  });
});

describe('how a PC lays out RAM', () => {
  test.each([
    ['pc-q35-7.2', 0xb000_0000 - PAGE, [0xb000_0000 - PAGE]],
    ['pc-q35-7.2', 0xb000_0000, [0x8000_0000, 0x3000_0000]],
    ['pc-i440fx-7.2', 0xe000_0000 - PAGE, [0xe000_0000 - PAGE]],
    ['pc-i440fx-7.2', 0xe000_0000, [0xc000_0000, 0x2000_0000]],
    ['microvm', 0xd000_0000, [0xc000_0000, 0x1000_0000]],
  ] as const)('%s with %d bytes', (machine, size, sizes) => {
    const ranges = ramRanges(machine, size);
    expect(ranges.map((range) => range.size)).toEqual(sizes);
    expect(ranges.map((range) => range.start as number)).toEqual([0, 2 ** 32].slice(0, sizes.length));
  });
});

describe('what is no image is refused in one sentence', () => {
  const refusals: readonly (readonly [string, () => string, RegExp])[] = [
    ['a missing file', () => path.join(folder.path, 'none'), /^cannot open the image .*none: no such file$/],
    ['a directory', () => folder.path, /: it is a directory$/],
    ['an empty file', () => folder.write('empty', new Uint8Array(0)), /: it is empty$/],
    ['a device', () => '/dev/null', /: it is not a regular file; copy its content into one first$/],
    ['a pipe without a writer', pipe, /: it is not a regular file/],
    [
      'a text',
      () => folder.write('text', Buffer.from('hello\n')),
      /in no known format, and too small .*ELF core, kdump/,
    ],
    [
      'a gzip file',
      () => folder.write('gz', Buffer.from([0x1f, 0x8b, 8, 0])),
      /: it is a gzip file; unpack it first/,
    ],
    [
      'a disk image',
      () => folder.write('qcow2', Buffer.from('QFI\xfb\0\0\0\x03', 'latin1')),
      /: it is a qcow2 disk image/,
    ],
    ['a program', () => '/bin/true', /: the ELF file is a program, not a core$/],
  ];

  test.each(refusals)('%s', (_, file, message) => {
    expect(() => openImage(file())).toThrow(TargetError);
    expect(() => openImage(file())).toThrow(message);
  });

  test.skipIf(process.getuid?.() === 0)('a file that may not be read', () => {
    const file = folder.write('secret', Buffer.alloc(10));
    chmodSync(file, 0);
    expect(() => openImage(file)).toThrow(/: no permission to read it$/);
  });

  function pipe(): string {
    const file = path.join(folder.path, `pipe-${Math.random()}`);
    execFileSync('mkfifo', [file]);
    return file;
  }
});

describe('closing', () => {
  test('lets go of every file', async () => {
    for (const sample of SAMPLE_IMAGES) {
      const image = openImage(write(sample));
      await image[Symbol.asyncDispose]();
    }
    writeFileSync(
      path.join(folder.path, 'bad'),
      Buffer.concat([Buffer.from('KDUMP   '), Buffer.alloc(8192)]),
    );
    expect(() => openImage(path.join(folder.path, 'bad'))).toThrow(ImageError);
    expect(openFilesIn(folder.path)).toEqual([]);
  });
});

/** Files of a folder that this process holds open. */
function openFilesIn(root: string): string[] {
  const descriptors = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return '';
    }
  });
  return descriptors.filter((file) => file.startsWith(root));
}

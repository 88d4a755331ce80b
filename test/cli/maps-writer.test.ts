import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { ByteOutput } from '../../src/cli/byte-output.ts';
import { mapsWriter } from '../../src/cli/maps-writer.ts';
import type { Format } from '../../src/cli/output.ts';
import { type Backing, rowOf } from '../../src/linux/maps/row.ts';
import { formatMapsRow } from '../../src/linux/maps.ts';
import { VmaCursor } from '../../src/linux/mm/vma-cursor.ts';
import type { Task } from '../../src/linux/task.ts';
import { gva } from '../../src/memory/address.ts';

const NOTHING: Backing = { major: 0, minor: 0, inode: 0n, path: '' };
const FILE: Backing = { major: 254, minor: 3, inode: 2n ** 60n, path: '/a "quoted"\\012 file' };
const TASK: Task = {
  ...{ address: gva(1n), pid: 7, tgid: 7, comm: 'a"\nb', state: 'S', isKernelThread: false, mm: gva(1n) },
  ...{ startTime: 0n, parent: gva(0n), credentials: gva(0n), signal: gva(0n) },
};

function area(words: Partial<VmaCursor>): VmaCursor {
  return Object.assign(new VmaCursor(), words);
}

const AREAS: readonly (readonly [VmaCursor, Backing])[] = [
  [area({ startLow: 0x1000, endLow: 0x2000, flagsLow: 0 }), NOTHING],
  [area({ startLow: 0x40_0000, endLow: 0xffff_f000, flagsLow: 0xff, fileLow: 8, offsetLow: 0xfff }), FILE],
  [
    area({ startHigh: 0x7fff, startLow: 0, endHigh: 0x8000, flagsLow: 5, fileHigh: 1, offsetHigh: 1 }),
    { ...FILE, path: 'x'.repeat(5000) },
  ],
  [
    area({ startHigh: 0xffff_ffff, startLow: 0xff60_0000, endHigh: 0xffff_ffff, endLow: 0xff60_1000 }),
    { ...NOTHING, path: '[vsyscall]' },
  ],
];

async function written(format: Format, areas = AREAS): Promise<string> {
  const stream = new PassThrough();
  const all = buffer(stream);
  const output = new ByteOutput(stream);
  const writer = mapsWriter(format, output, true);
  writer.process(TASK);
  for (const [cursor, backing] of areas) writer.row(cursor, backing);
  writer.end();
  await output.flush();
  stream.end();
  return (await all).toString('latin1');
}

describe('rows as bytes', () => {
  test('of a table are those of the text form', async () => {
    const rows = AREAS.map(([cursor, backing]) => formatMapsRow(rowOf(cursor, backing)));
    expect(await written('table')).toBe(`${['# 7 a"\\x0ab', ...rows].join('\n')}\n`);
  });

  test('of a table hold the guest’s own bytes where they are no text', async () => {
    const path = '/not utf8 \udcff';
    expect(
      await written('table', [[area({ startLow: 0x1000, endLow: 0x2000 }), { ...FILE, path }]]),
    ).toContain('/not utf8 \xff\n');
  });

  test('of ndjson are one object a line', async () => {
    const lines = (await written('ndjson')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))[1]).toEqual({
      pid: 7,
      comm: 'a"\nb',
      start: '0x400000',
      end: '0xfffff000',
      perms: 'rwxs',
      offset: '0xfff000',
      dev: 'fe:03',
      inode: '1152921504606846976',
      path: FILE.path,
    });
    expect(lines.map((line) => JSON.parse(line).offset)).toEqual([
      '0x0',
      '0xfff000',
      '0x100000000000',
      '0x0',
    ]);
  });

  test('of json are one array, also without any', async () => {
    expect(JSON.parse(await written('json'))).toHaveLength(AREAS.length);
    expect(JSON.parse(await written('json', []))).toEqual([]);
  });

  test('of any number are all there', async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => AREAS[index % 2] ?? AREAS[0]);
    const lines = await written(
      'table',
      many.filter((each) => each !== undefined),
    );
    expect(lines.split('\n')).toHaveLength(20_002);
  });
});

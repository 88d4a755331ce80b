import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isSameGuest } from '../../../src/hooks/journal/guest-identity.ts';
import { Journal, type JournalRecord } from '../../../src/hooks/journal/journal.ts';

const RECORD: JournalRecord = {
  version: 1,
  machine: 'qemu:/run/qmp.sock',
  guest: {
    banner: 'Linux version 6.1',
    textBase: '0xffffffff81000000',
    directMap: '0xffff888000000000',
    init: '0x1',
  },
  gap: { start: '0xffffffff81a1a000', size: 20480 },
  mailbox: { address: '0xffff888001230000', order: 1 },
  patches: [
    {
      symbol: 'exit_mmap',
      address: '0xffffffff81200005',
      original: '4156b910000000',
      patched: 'e9fb0f00009090',
    },
  ],
};

let folder: string;
let journal: Journal;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'underwatch-test-')), 'state');
  journal = new Journal(folder, RECORD.machine);
});
afterEach(() => rm(join(folder, '..'), { recursive: true }));

describe('a journal', () => {
  test('gives back what was written last', async () => {
    expect(await journal.read()).toBeUndefined();
    await journal.write({ ...RECORD, mailbox: null, patches: [] });
    await journal.write(RECORD);
    expect(await new Journal(folder, RECORD.machine).read()).toEqual(RECORD);
    expect(await readdir(folder)).toHaveLength(1);
    expect((await stat(journal.path)).mode & 0o777).toBe(0o600);
  });

  test('is one a machine', async () => {
    await journal.write(RECORD);
    expect(await new Journal(folder, 'qemu:/run/other.sock').read()).toBeUndefined();
  });

  test('survives a writer that died in the middle', async () => {
    await journal.write(RECORD);
    await writeFile(`${journal.path}.new`, '{"version": 1, "mach');
    expect(await journal.read()).toEqual(RECORD);
    await journal.write({ ...RECORD, patches: [] });
    expect(await journal.read()).toEqual({ ...RECORD, patches: [] });
  });

  test('is gone once removed, and may be removed twice', async () => {
    await journal.remove();
    await journal.write(RECORD);
    await journal.remove();
    await journal.remove();
    expect(await journal.read()).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  test('is kept under another name when it is set aside', async () => {
    await journal.write(RECORD);
    const path = await journal.setAside(new Date('2026-11-22T17:00:00Z'));
    expect(await journal.read()).toBeUndefined();
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(RECORD);
  });

  test.each([
    ['is no JSON', '{'],
    ['is of another version', JSON.stringify({ ...RECORD, version: 2 })],
    ['has an address that is none', JSON.stringify({ ...RECORD, gap: { start: '12', size: 1 } })],
    [
      'has bytes that are none',
      JSON.stringify({ ...RECORD, patches: [{ ...RECORD.patches[0], original: '4' }] }),
    ],
    ['has more than it should', JSON.stringify({ ...RECORD, command: 'rm' })],
  ])('that %s is refused', async (_what, text) => {
    await journal.write(RECORD);
    await writeFile(journal.path, text);
    await expect(journal.read()).rejects.toThrow(/is not understood/);
  });
});

describe('the identity of a guest', () => {
  test('is another one after each reboot, and with each kernel', () => {
    const { guest } = RECORD;
    expect(isSameGuest(guest, { ...guest })).toBe(true);
    for (const key of ['banner', 'textBase', 'directMap', 'init'] as const)
      expect(isSameGuest(guest, { ...guest, [key]: '0x2' })).toBe(false);
  });
});

import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import type { Image } from '../../src/machine/image/image.ts';
import { openImage } from '../../src/machine/image/open.ts';
import { ramRanges } from '../../src/machine/image/ram-layout.ts';
import { QmpClient } from '../../src/machine/qemu/qmp.ts';

const PAGE = 4096;
const MEBIBYTE = 2 ** 20;

/** What QEMU's own image makers write, for one guest that stands still, compared with the guest's RAM. */
describe.each([
  { qemu: 'system', memory: 256, formats: ['kdump-zlib', 'kdump-lzo', 'kdump-snappy'], migration: 'exec' },
  { qemu: 'newest', memory: 3072, formats: ['kdump-zlib', 'kdump-raw-zlib'], migration: 'mapped-ram' },
] as const)('QEMU $qemu, $memory MiB', ({ qemu, memory, formats, migration }) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'underwatch-images-'));
  const size = memory * MEBIBYTE;
  let guest: Guest;
  let qmp: QmpClient;

  beforeAll(async () => {
    guest = await bootGuest({ kernel: '6.1', qemu, memory });
    qmp = await QmpClient.connect(guest.qmpSocket);
    await qmp.execute('stop');
  });
  afterAll(async () => {
    await qmp?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Has QEMU dump memory; undefined where it was built without that format. */
  async function dump(name: string, parameters: Record<string, unknown>): Promise<string | undefined> {
    const file = path.join(folder, name);
    const { formats: known } = await qmp.query(
      v.object({ formats: v.array(v.string()) }),
      'query-dump-guest-memory-capability',
    );
    if (parameters.format !== undefined && !known.includes(String(parameters.format))) return undefined;
    await qmp.execute('dump-guest-memory', { protocol: `file:${file}`, ...parameters }, 120_000);
    return file;
  }

  test.skipIf(memory > 1024)('ELF core', async () => {
    await using image = openImage(String(await dump('elf', { paging: false })));
    expect(image.format).toBe('ELF core');
    expect(differences(guest, image, size)).toEqual({ wrong: 0, missing: 0 });
    await expectRegisters(qmp, image);
  });

  test.skipIf(memory > 1024)(
    'ELF core with paging: what the guest has mapped, and nothing wrong',
    async () => {
      await using image = openImage(String(await dump('elf-paging', { paging: true })));
      const { wrong, missing } = differences(guest, image, size);
      expect(wrong).toBe(0);
      expect(missing).toBeLessThan(size / PAGE / 100);
    },
  );

  test.for(formats)('%s', async (format, { skip }) => {
    const file = await dump(format, { paging: false, format });
    if (file === undefined) return skip('this QEMU was built without it');
    await using image = openImage(file);
    expect(image.format).toBe(format.includes('raw') ? 'kdump-compressed' : 'kdump-compressed (flattened)');
    expect(differences(guest, image, size)).toEqual({ wrong: 0, missing: 0 });
    await expectRegisters(qmp, image);
  });

  test.skipIf(memory > 1024)('pmemsave', async () => {
    const file = path.join(folder, 'raw');
    await qmp.execute('pmemsave', { val: 0, size, filename: file });
    await using image = openImage(file);
    expect(image.format).toBe('raw');
    expect(differences(guest, image, size)).toEqual({ wrong: 0, missing: 0 });
  });

  test('the RAM file itself, laid out by hand', async () => {
    await using image = openImage(String(guest.ramFile), { ranges: ramRanges('q35', size) });
    expect(differences(guest, image, size)).toEqual({ wrong: 0, missing: 0 });
  });

  test(`migration: ${migration}`, async () => {
    const file = path.join(folder, 'migration');
    const mapped = migration === 'mapped-ram';
    if (mapped) {
      const capabilities = [{ capability: 'mapped-ram', state: true }];
      await qmp.execute('migrate-set-capabilities', { capabilities });
    }
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 });
    await qmp.execute('migrate', { uri: mapped ? `file:${file}` : `exec:cat > ${file}` });
    await migrated(qmp);
    await using image = openImage(file);
    expect(image.format).toBe(mapped ? 'QEMU migration (mapped-ram)' : 'QEMU migration stream');
    expect(differences(guest, image, size)).toEqual({ wrong: 0, missing: 0 });
  });
});

/** Compares every page of RAM in the image with the guest's RAM file. */
function differences(guest: Guest, image: Image, size: number): { wrong: number; missing: number } {
  const ram = openSync(String(guest.ramFile), 'r');
  const [expected, actual] = [Buffer.alloc(MEBIBYTE), Buffer.alloc(MEBIBYTE)];
  let wrong = 0;
  let missing = 0;
  for (const { start, size: length, offset } of ramRanges('q35', size)) {
    for (let at = 0; at < length; at += MEBIBYTE) {
      readSync(ram, expected, 0, MEBIBYTE, offset + at);
      const whole = image.memory.contains(start + at, MEBIBYTE);
      if (whole) image.memory.read(start + at, actual);
      if (whole && actual.equals(expected)) continue;
      for (let page = 0; page < MEBIBYTE; page += PAGE) {
        const address = start + at + page;
        if (!image.memory.contains(address, PAGE)) missing++;
        else if (image.memory.u32(address + 8) !== expected.readUInt32LE(page + 8)) wrong++;
        else if (!samePage(image, address, expected.subarray(page, page + PAGE))) wrong++;
      }
    }
  }
  closeSync(ram);
  return { wrong, missing };
}

function samePage(image: Image, address: number, expected: Buffer): boolean {
  const page = Buffer.alloc(PAGE);
  image.memory.read(address, page);
  return page.equals(expected);
}

/** The registers in the image are those that QEMU's monitor prints. */
async function expectRegisters(qmp: QmpClient, image: Image): Promise<void> {
  const printed = await qmp.monitor('info registers');
  const [vcpu] = image.vcpus;
  for (const [name, pattern] of [
    ['rip', /RIP=([0-9a-f]+)/],
    ['rsp', /RSP=([0-9a-f]+)/],
    ['cr3', /CR3=([0-9a-f]+)/],
    ['cr4', /CR4=([0-9a-f]+)/],
  ] as const) {
    expect(vcpu?.registers.get(name)).toBe(BigInt(`0x${pattern.exec(printed)?.[1]}`));
  }
  expect(vcpu?.idtBase).toBe(BigInt(`0x${/IDT=\s+([0-9a-f]+)/.exec(printed)?.[1]}`));
}

async function migrated(qmp: QmpClient): Promise<void> {
  for (;;) {
    const { status } = await qmp.query(v.object({ status: v.string() }), 'query-migrate');
    if (status === 'completed') return;
    if (status === 'failed') throw new Error('the migration failed');
    await delay(50);
  }
}

import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type CpioEntry, writeCpio } from '../../lab/cpio.ts';

const folder = mkdtempSync(join(tmpdir(), 'underwatch-cpio-'));
afterAll(() => rmSync(folder, { recursive: true }));

const BINARY = Uint8Array.from({ length: 1025 }, (_, index) => index & 0xff);

describe('the archive of the first root file system', () => {
  const entries: CpioEntry[] = [
    { path: 'bin', mode: 0o040755 },
    { path: 'bin/tool', mode: 0o100755, data: BINARY },
    { path: 'bin/link', mode: 0o120777, data: Buffer.from('tool') },
    { path: 'empty', mode: 0o100644 },
    { path: 'a', mode: 0o100600, data: Buffer.from('x') },
  ];
  const archive = writeCpio(entries);

  test('starts with the magic of the new ASCII format and is padded to 4 bytes', () => {
    expect(Buffer.from(archive.subarray(0, 6)).toString()).toBe('070701');
    expect(archive.length % 4).toBe(0);
    expect(Buffer.from(archive).includes('TRAILER!!!')).toBe(true);
  });

  test.skipIf(!existsSync('/bin/busybox'))('is unpacked to the same files by another implementation', () => {
    const file = join(folder, 'archive.cpio');
    writeFileSync(file, archive);
    execFileSync('sh', ['-c', `busybox cpio -i -d < archive.cpio 2>/dev/null`], { cwd: folder });
    expect(new Uint8Array(readFileSync(join(folder, 'bin/tool')))).toEqual(BINARY);
    expect(statSync(join(folder, 'bin/tool')).mode & 0o7777).toBe(0o755);
    expect(readlinkSync(join(folder, 'bin/link'))).toBe('tool');
    expect(statSync(join(folder, 'empty')).size).toBe(0);
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('x');
    expect(statSync(join(folder, 'a')).mode & 0o7777).toBe(0o600);
  });

  test('holds the numbers of device nodes', () => {
    const node = writeCpio([{ path: 'dev/console', mode: 0o020600, device: [5, 1] }]);
    const header = Buffer.from(node.subarray(0, 110)).toString();
    expect(header.slice(6 + 9 * 8, 6 + 11 * 8)).toBe('0000000500000001');
    expect(header.slice(6 + 8, 6 + 16)).toBe('00002180');
  });
});

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mappingsOf, openablePath, parseMappings } from '../../../src/machine/qemu/host-mappings.ts';
import { FileMapping } from '../../../src/memory/file-mapping.ts';

describe("a process's mappings", () => {
  test('are read as the kernel prints them', () => {
    const text = `7f3c8bfff000-7f3c9bfff000 rw-s 00001000 00:01 2068                       /memfd:ram (deleted)
7f3c9bfff000-7f3c9c000000 ---p 00000000 00:00 0 
nonsense
`;
    expect(parseMappings(text)).toEqual([
      {
        start: 0x7f3c8bfff000,
        end: 0x7f3c9bfff000,
        shared: true,
        offset: 0x1000,
        device: '00:01',
        inode: 2068,
        path: '/memfd:ram (deleted)',
      },
      {
        start: 0x7f3c9bfff000,
        end: 0x7f3c9c000000,
        shared: false,
        offset: 0,
        device: '00:00',
        inode: 0,
        path: '',
      },
    ]);
  });

  test('of no process are none', () => {
    expect(mappingsOf(2 ** 30)).toEqual([]);
  });

  test('lead back to the file, by path while it has one and by descriptor once it is deleted', () => {
    const folder = mkdtempSync(join(tmpdir(), 'underwatch-test-'));
    const path = join(folder, 'ram');
    writeFileSync(path, new Uint8Array(4096));
    const fd = openSync(path, 'r+');
    using _ = FileMapping.open(path, { writable: true });
    const mapping = mappingsOf(process.pid).find((candidate) => candidate.path === path);
    if (mapping === undefined) throw new Error('the mapping is not shown');
    expect(mapping.shared).toBe(true);
    expect(openablePath(process.pid, mapping)).toBe(path);
    rmSync(folder, { recursive: true });
    expect(openablePath(process.pid, mapping)).toBe(`/proc/${process.pid}/fd/${fd}`);
    closeSync(fd);
    expect(openablePath(process.pid, mapping)).toBeUndefined();
  });
});

import { describe, expect, test } from 'vitest';
import { formatDevice, formatMapsRow, permissionsOf } from '../../../src/linux/maps/row.ts';

describe('a row', () => {
  const row = {
    start: 0x400000n,
    end: 0x401000n,
    permissions: 'r-xp',
    offset: 0n,
    major: 0,
    minor: 0,
    inode: 0n,
    path: '',
  };

  test('without a path ends with a space', () => {
    expect(formatMapsRow(row)).toBe('00400000-00401000 r-xp 00000000 00:00 0 ');
  });

  test('has its path in column 73, or behind what is longer', () => {
    const short = formatMapsRow({ ...row, major: 254, minor: 1, inode: 42n, path: '/bin/true' });
    expect(short).toBe(`${'00400000-00401000 r-xp 00000000 fe:01 42'.padEnd(73)}/bin/true`);
    const long = formatMapsRow({
      ...row,
      start: 2n ** 56n,
      end: 2n ** 57n - 4096n,
      offset: 2n ** 60n,
      minor: 0xfffff,
      inode: 2n ** 64n - 1n,
      path: 'x',
    });
    expect(long).toBe(
      '100000000000000-1fffffffffff000 r-xp 1000000000000000 00:fffff 18446744073709551615  x',
    );
  });

  test('has a device in hexadecimal', () => {
    expect(formatDevice({ major: 8, minor: 0 })).toBe('08:00');
    expect(formatDevice({ major: 0x103, minor: 0x12345 })).toBe('103:12345');
  });

  test('has the permissions of its flags', () => {
    expect(permissionsOf(0x0)).toBe('---p');
    expect(permissionsOf(0x7)).toBe('rwxp');
    expect(permissionsOf(0x81)).toBe('r--s');
    expect(permissionsOf(0xff)).toBe('rwxs');
    expect(permissionsOf(0x08)).toBe('---p');
  });
});

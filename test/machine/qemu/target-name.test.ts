import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import { parseGdbAddress } from '../../../src/machine/qemu/gdb-endpoint.ts';
import { parseQemuTarget } from '../../../src/machine/qemu/target-name.ts';

describe('the name of a QEMU machine', () => {
  test.each([
    ['qemu:/run/vm/qmp.sock', { qmp: '/run/vm/qmp.sock' }],
    ['qemu:rel ative.sock', { qmp: 'rel ative.sock' }],
    ['qemu:/q?gdb=/g&ram=/dev/shm/ram', { qmp: '/q', gdb: '/g', ram: '/dev/shm/ram' }],
    ['qemu:/q?gdb=tcp:127.0.0.1:1234', { qmp: '/q', gdb: 'tcp:127.0.0.1:1234' }],
  ])('%s', (name, expected) => {
    expect(parseQemuTarget(name)).toEqual(expected);
  });

  test.each(['qemu:', 'qemu:?gdb=/g', 'qemu:/q?gbd=/g', '/q'])('%s is refused', (name) => {
    expect(() => parseQemuTarget(name)).toThrow(UsageError);
  });
});

describe('where a gdbstub listens', () => {
  test.each([
    ['unix:/run/gdb.sock,server=on', { path: '/run/gdb.sock' }],
    ['/run/gdb.sock', { path: '/run/gdb.sock' }],
    ['tcp:0.0.0.0:1234,server=on', { host: '127.0.0.1', port: 1234 }],
    ['tcp:[::]:1234,server=on', { host: '127.0.0.1', port: 1234 }],
    ['localhost:1234', { host: 'localhost', port: 1234 }],
    [':1234', { host: '127.0.0.1', port: 1234 }],
  ])('%s', (text, expected) => {
    expect(parseGdbAddress(text)).toEqual(expected);
  });

  test('nowhere', () => {
    expect(() => parseGdbAddress('unix:,server=on')).toThrow(UsageError);
  });
});

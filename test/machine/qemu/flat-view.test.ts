import { describe, expect, test } from 'vitest';
import { TargetError } from '../../../src/errors.ts';
import { parseFlatView } from '../../../src/machine/qemu/flat-view.ts';

/** As QEMU 7.2 prints it, other lines left out. */
function tree(lines: string): string {
  return `FlatView #0
 AS "cpu-smm-0", root: memory
 Root memory region: memory
  0000000000000000-0000000000000fff (prio 0, ram): ram0

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
${lines}

FlatView #2
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan
`;
}

describe('the RAM in a flat view', () => {
  test('q35 with 5 GiB after the firmware ran: windows are RAM, firmware is not, 4 GiB and more is the rest', () => {
    const text = tree(`  0000000000000000-00000000000c2fff (prio 0, ram): ram0
  00000000000c3000-00000000000e7fff (prio 0, rom): ram0 @00000000000c3000
  00000000000e8000-00000000000effff (prio 0, ram): ram0 @00000000000e8000
  00000000000f0000-00000000000fffff (prio 0, rom): ram0 @00000000000f0000
  0000000000100000-000000007fffffff (prio 0, ram): ram0 @0000000000100000
  00000000b0000000-00000000bfffffff (prio 0, i/o): pcie-mmcfg-mmio
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios
  0000000100000000-00000001bfffffff (prio 0, ram): ram0 @0000000080000000`);
    expect(parseFlatView(text, new Set(['ram0']))).toEqual([
      { start: 0, size: 0x8000_0000, backend: 'ram0', offset: 0 },
      { start: 0x1_0000_0000, size: 0xc000_0000, backend: 'ram0', offset: 0x8000_0000 },
    ]);
  });

  test('pc before the firmware ran: a hole where firmware lies', () => {
    const text = tree(`  0000000000000000-00000000000bffff (prio 0, ram): pc.ram
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  00000000000e0000-00000000000fffff (prio 0, rom): pc.bios @0000000000020000
  0000000000100000-000000000fffffff (prio 0, ram): pc.ram @0000000000100000`);
    expect(parseFlatView(text, new Set(['pc.ram']))).toEqual([
      { start: 0, size: 0xc_0000, backend: 'pc.ram', offset: 0 },
      { start: 0x10_0000, size: 0xff0_0000, backend: 'pc.ram', offset: 0x10_0000 },
    ]);
  });

  test('two NUMA nodes and a DIMM, without the memory of a PCI device', () => {
    const text = tree(`  0000000000000000-000000003fffffff (prio 0, ram): a
  0000000040000000-000000007fffffff (prio 0, ram): b
  00000000fd000000-00000000fdffffff (prio 1, ram): shmem
  0000000100000000-000000017fffffff (prio 0, ram): b @0000000040000000
  0000000180000000-00000001bfffffff (prio 0, ram): d`);
    const ranges = parseFlatView(text, new Set(['a', 'b', 'd', 'shmem']));
    expect(ranges.map(({ backend, offset }) => [backend, offset])).toEqual([
      ['a', 0],
      ['b', 0],
      ['b', 0x4000_0000],
      ['d', 0],
    ]);
  });

  test('under KVM, and of machine types that name backends by their path', () => {
    const text = tree(`  0000000000000000-000000000009ffff (prio 0, ram): /objects/ram0 KVM
  0000000000100000-00000000001fffff (prio 0, ram): /objects/ram0 @0000000000100000 KVM`);
    expect(parseFlatView(text, new Set(['ram0'])).map(({ offset }) => offset)).toEqual([0, 0x10_0000]);
  });

  test.each(['', 'unknown command', tree(''), tree('  00-ff (prio 0, ram): ram0')])('no RAM: %j', (text) => {
    expect(() => parseFlatView(text, new Set(['ram0']))).toThrow(TargetError);
  });
});

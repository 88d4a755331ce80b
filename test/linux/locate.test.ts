import { describe, expect, test } from 'vitest';
import { findKernel } from '../../src/linux/find-kernel.ts';
import { locateByMemory } from '../../src/linux/locate/by-memory.ts';
import { locateByRegisters } from '../../src/linux/locate/by-registers.ts';
import { locateByVmcoreinfo } from '../../src/linux/locate/by-vmcoreinfo.ts';
import type { LocatedKernel, Rejection } from '../../src/linux/locate/identify.ts';
import { gva } from '../../src/memory/address.ts';
import { SparseMemory } from '../../src/memory/sparse-memory.ts';
import { Registers } from '../../src/x86/registers.ts';
import { BANNER, IMAGE_SIZE, LAYOUTS, type MadeUpKernel, makeKernel } from '../support/made-up-kernel.ts';

const layout = LAYOUTS['6.12'] ?? { order: 'behind', addressing: 'per-cpu', sequences: 'end', alignment: 8 };

function facts(located: LocatedKernel | Rejection | undefined) {
  if (typeof located !== 'object') return located;
  const { memory, symbols, banner } = located;
  const { image, directMap, pageTables } = memory;
  return {
    image,
    directMap: directMap?.virtualStart,
    root: pageTables.root,
    levels: pageTables.levels,
    count: symbols.count,
    banner,
  };
}

function expected(kernel: MadeUpKernel, levels: 4 | 5) {
  return {
    image: { virtualStart: kernel.virtual, physicalStart: kernel.physical, size: IMAGE_SIZE },
    directMap: kernel.directMap,
    root: kernel.root,
    levels,
    count: kernel.symbols.length,
    banner: BANNER,
  };
}

describe.each([
  { levels: 4, physical: 0x0120_0000 },
  { levels: 5, physical: 0x0120_0000 },
  { levels: 4, physical: 0x1_1200_0000 },
] as const)('a kernel with $levels levels at $physical', ({ levels, physical }) => {
  const kernel = makeKernel({ layout, levels, physical });
  const whole =
    physical > 0xffff_ffff ? { ...expected(kernel, levels), directMap: undefined } : expected(kernel, levels);

  test('is found by registers in kernel mode, and in user mode under KPTI', () => {
    expect(facts(locateByRegisters(kernel.memory, kernel.vcpu('kernel')))).toEqual(whole);
    expect(facts(locateByRegisters(kernel.memory, kernel.vcpu('user under KPTI')))).toEqual(whole);
  });

  test('is found from memory alone', () => {
    expect([...locateByMemory(kernel.memory)].map(facts)).toEqual([whole]);
  });
});

describe('VMCOREINFO', () => {
  const kernel = makeKernel({ layout });
  const address = kernel.virtual + BigInt(kernel.root - kernel.physical);
  const base = BigInt(kernel.physical) - (kernel.virtual - 0xffff_ffff_8000_0000n);
  const text = `OSRELEASE=6.9\nSYMBOL(swapper_pg_dir)=${address.toString(16)}\nNUMBER(phys_base)=${base}\n`;

  test('leads to the kernel that it describes', () => {
    expect(facts(locateByVmcoreinfo(kernel.memory, text))).toEqual(expected(kernel, 4));
  });

  test.each([
    ['has nothing of it', 'OSRELEASE=6.9'],
    ['lies', text.replace(String(base), '123456789')],
    ['holds no numbers', text.replace(String(base), 'x'.repeat(1000))],
    ['is out of bounds', text.replace(String(base), '9'.repeat(19))],
    ['claims other paging', `${text}NUMBER(pgtable_l5_enabled)=1`],
  ])('leads nowhere where it %s', (_, broken) => {
    expect(locateByVmcoreinfo(kernel.memory, broken)).toBeUndefined();
  });
});

describe('locating', () => {
  test('finds the kernel of a vCPU among two', () => {
    const first = makeKernel({ layout });
    const second = makeKernel({
      layout,
      physical: 0x0400_0000,
      virtual: 0xffff_ffff_8320_0000n,
      memory: first.memory,
    });
    expect([...locateByMemory(first.memory)].map(facts)).toEqual([expected(first, 4), expected(second, 4)]);
    expect(facts(locateByRegisters(first.memory, second.vcpu('user under KPTI')))).toEqual(
      expected(second, 4),
    );
  });

  test('does not take the kernel that another handler serves', () => {
    const kernel = makeKernel({ layout });
    const vcpu = kernel.vcpu('kernel');
    kernel.memory.place(kernel.physical + 0x40_6000 + 14 * 16 + 6, Uint8Array.of(0x00, 0x10));
    expect(locateByRegisters(kernel.memory, vcpu)).toBeUndefined();
  });

  test('needs no interrupt table', () => {
    const kernel = makeKernel({ layout });
    const vcpu = { ...kernel.vcpu('kernel'), idtBase: gva(0n) };
    expect(facts(locateByRegisters(kernel.memory, vcpu))).toEqual(expected(kernel, 4));
  });

  test('finds nothing on a vCPU without paging', () => {
    const kernel = makeKernel({ layout });
    expect(
      locateByRegisters(kernel.memory, { registers: new Registers(), idtBase: gva(0n) }),
    ).toBeUndefined();
  });

  test('does without a direct map that the page tables do not confirm', () => {
    const kernel = makeKernel({ layout });
    kernel.memory.place64(kernel.physical + 0x50_0000, 0xffff_9000_0000_0000n);
    expect(facts(locateByRegisters(kernel.memory, kernel.vcpu('kernel')))).toMatchObject({
      directMap: undefined,
      root: kernel.root,
    });
  });

  test('is not kept busy by memory full of page tables', () => {
    const memory = new SparseMemory();
    memory.map(0, 0x100_0000);
    for (let page = 0; page < 0x100_0000; page += 4096) {
      for (const entry of [510, 511])
        memory.place64(page + entry * 8, BigInt((page + 4096) % 0x100_0000) | 0x63n);
      for (let entry = 0; entry < 8; entry++)
        memory.place64(page + entry * 8, BigInt(entry * 0x20_0000) | 0xe3n);
    }
    expect([...locateByMemory(memory)].filter((result) => typeof result === 'object')).toEqual([]);
  });
});

describe('findKernel says in one sentence', () => {
  const message = (memory: SparseMemory, options = {}) => {
    try {
      findKernel(memory, options);
      return 'found';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('that there is no Linux', () => {
    const memory = new SparseMemory();
    memory.map(0, 0x20_0000);
    expect(message(memory)).toBe('no Linux kernel found in 2 MiB of memory');
    expect(message(memory, { vcpus: [{ registers: new Registers(), idtBase: gva(0n) }] })).toBe(
      'no Linux kernel found in 2 MiB of memory',
    );
  });

  test('that a kernel is not mapped yet', () => {
    const memory = new SparseMemory();
    memory.place(0x12345, Buffer.from(`Linux version of no kernel\0${BANNER}\n\0${'x'.repeat(2000)}`));
    expect(message(memory)).toBe(
      'Linux 6.9.42-test is in memory, but no page tables map it: it is still booting, or no longer runs',
    );
  });

  test('that a kernel has no symbols, or too few', () => {
    const kernel = makeKernel({ layout });
    kernel.memory.place(kernel.tableAddress + kernel.table.tokens, Buffer.alloc(64));
    expect(message(kernel.memory)).toBe(
      'Linux 6.9.42-test has no symbol table that can be read: CONFIG_KALLSYMS is off, or it is still booting',
    );
    const functions = makeKernel({ layout, without: ['linux_banner', 'init_top_pgt', 'page_offset_base'] });
    expect(message(functions.memory)).toContain('CONFIG_KALLSYMS_ALL is off');
  });

  test('that a kernel has no page tables of its own yet', () => {
    const kernel = makeKernel({ layout, without: ['init_top_pgt'] });
    expect(message(kernel.memory)).toBe(
      'Linux 6.9.42-test has no page tables of its own yet: it is still booting',
    );
  });

  test('that a kernel still boots, and only then', () => {
    for (const systemState of [0n, 1n]) {
      expect(message(makeKernel({ layout, systemState }).memory)).toBe(
        'Linux 6.9.42-test is still booting: it has not started a process yet',
      );
    }
    expect(message(makeKernel({ layout }).memory)).toContain('BTF');
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findKallsyms } from '../../src/linux/kallsyms/find-kallsyms.ts';
import { findTokenTables } from '../../src/linux/kallsyms/token-table.ts';
import type { LinearMapping } from '../../src/linux/kernel-memory.ts';
import type { SymbolTable } from '../../src/linux/symbols.ts';
import { gva } from '../../src/memory/address.ts';
import { BANNER, IMAGE_SIZE, LAYOUTS, type MadeUpKernel, makeKernel } from '../support/made-up-kernel.ts';

function imageOf({ physical, virtual }: MadeUpKernel): LinearMapping {
  return { virtualStart: gva(virtual), physicalStart: physical, size: IMAGE_SIZE };
}

function symbolsOf(kernel: MadeUpKernel): SymbolTable {
  const result = findKallsyms(kernel.memory, imageOf(kernel));
  if (result.outcome !== 'found') throw new Error(`symbols: ${result.outcome}`);
  return result.symbols;
}

const sixOne = LAYOUTS['6.1'] ?? { order: 'before', addressing: 'per-cpu', sequences: 'none', alignment: 8 };

describe.each(Object.entries(LAYOUTS))('the symbol table of %s', (_, layout) => {
  const kernel = makeKernel({ layout });
  const symbols = symbolsOf(kernel);

  test('has every symbol, in order', () => {
    expect([...symbols.entries()]).toEqual(kernel.symbols.map((symbol) => ({ ...symbol })));
    expect(symbols.count).toBe(kernel.symbols.length);
  });

  test('finds symbols by name, one at a time and many at once', () => {
    expect(symbolsOf(kernel).find('vma_function_6')).toBe(kernel.virtual + BigInt(0x1000 + 6 * 64));
    const wanted = kernel.symbols.map(({ name }) => name).filter((name) => name !== 'twice');
    const found = symbols.findMany([...wanted, 'no_such_symbol']);
    expect(found.size).toBe(wanted.length);
    for (const { name, address } of kernel.symbols)
      if (name !== 'twice') expect(found.get(name)).toBe(address);
  });

  test('knows the symbol before an address', () => {
    const address = kernel.virtual + BigInt(0x1000 + 7 * 64 + 5);
    expect(symbols.nearest(gva(address))).toMatchObject({ name: 'xfunction_7', type: 't', offset: 5 });
  });
});

describe('a symbol table', () => {
  const kernel = makeKernel({ layout: sixOne });
  const symbols = symbolsOf(kernel);

  test('is found together with the banner', () => {
    expect(findKallsyms(kernel.memory, imageOf(kernel))).toMatchObject({ banner: BANNER });
  });

  test('has several symbols of one name', () => {
    const twice = kernel.symbols.filter(({ name }) => name === 'twice').map(({ address }) => address);
    expect(symbols.findAll('twice')).toEqual(twice);
    expect(symbols.find('twice')).toBe(twice[0]);
  });

  test('does not take a beginning, an ending or a type letter for a name', () => {
    expect(symbols.find('vma_function')).toBeUndefined();
    expect(symbols.find('function_7')).toBeUndefined();
    expect(symbols.find('Tdo_function_0')).toBeUndefined();
    expect(symbols.find('')).toBeUndefined();
  });

  test('names the symbol that is missing', () => {
    expect(() => symbols.require('no_such_symbol')).toThrow('the kernel has no symbol no_such_symbol');
  });

  test('has the first symbol for the address that several share, and none outside of the image', () => {
    expect(symbols.nearest(gva(kernel.virtual))).toMatchObject({ name: '_text', offset: 0 });
    expect(symbols.nearest(gva(kernel.virtual - 1n))).toBeUndefined();
    expect(symbols.nearest(gva(0x1_fbc1n))).toBeUndefined();
    expect(symbols.nearest(gva(kernel.virtual + BigInt(IMAGE_SIZE)))).toBeUndefined();
  });

  test('is searched by globs', () => {
    const names = (glob: string) => [...symbols.match(glob)].map(({ name }) => name);
    expect(names('sys_function_1?')).toEqual(['sys_function_13', 'sys_function_17']);
    expect(names('*_banner')).toEqual(['linux_banner']);
    expect(names('function_.*')).toEqual([]);
  });
});

describe('findKallsyms', () => {
  test('passes over a stale copy of the tokens', () => {
    const kernel = makeKernel({ layout: sixOne });
    const { bytes, markers } = kernel.table;
    kernel.memory.place(kernel.physical + 0x28_0000, bytes.subarray(markers, markers + 8192));
    expect([...findTokenTables(kernel.memory, kernel.physical, IMAGE_SIZE)]).toHaveLength(2);
    expect(symbolsOf(kernel).count).toBe(kernel.symbols.length);
  });

  test('passes over a whole table of another kernel', () => {
    const kernel = makeKernel({ layout: sixOne });
    const other = makeKernel({ layout: sixOne, virtual: kernel.virtual + 0x20_0000n });
    kernel.memory.place(kernel.physical + 0x21_0000, other.table.bytes);
    expect(symbolsOf(kernel).require('_text')).toBe(kernel.virtual);
    expect(findKallsyms(other.memory, imageOf(kernel)).outcome).toBe('none');
  });

  test('says that only functions are listed', () => {
    const without = ['linux_banner', 'init_top_pgt', 'page_offset_base'];
    const kernel = makeKernel({ layout: sixOne, without });
    expect(findKallsyms(kernel.memory, imageOf(kernel))).toEqual({ outcome: 'functions-only' });
  });

  test.each([
    [
      'the count is wild',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress + k.table.count, word(0x7fff_ffff)),
    ],
    [
      'the count is one short',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress + k.table.count, word(k.symbols.length - 1)),
    ],
    [
      'the markers go in circles',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress + k.table.markers + 8, word(0)),
    ],
    [
      'a token has no end',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress + k.table.tokens, Buffer.alloc(600, 0x41)),
    ],
    [
      'the token index descends',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress + k.table.tokenIndex + 200, word(0)),
    ],
    [
      'all names are endless',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress + k.table.names, Buffer.alloc(4000, 0xff)),
    ],
    [
      'the addresses are noise',
      (k: MadeUpKernel) => k.memory.place(k.tableAddress, Buffer.alloc(4000, 0x5a)),
    ],
  ])('finds nothing where %s', (_, damage) => {
    const kernel = makeKernel({ layout: sixOne });
    damage(kernel);
    expect(findKallsyms(kernel.memory, imageOf(kernel))).toEqual({ outcome: 'none' });
  });

  test('looks at memory made of marker runs for a bounded time', () => {
    const kernel = makeKernel({ layout: sixOne });
    const runs = Buffer.alloc(0x10_0000);
    for (let at = 0; at < runs.length; at += 4) runs.writeUInt32LE(((at / 4) % 8) * 700, at);
    kernel.memory.place(kernel.tableAddress + kernel.table.tokens - runs.length, runs);
    expect(findKallsyms(kernel.memory, imageOf(kernel))).toEqual({ outcome: 'none' });
  });

  test('copes with any damage', () => {
    const kernel = makeKernel({ layout: sixOne });
    const { bytes } = kernel.table;
    const anyWrite = fc.record({ at: fc.nat(bytes.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(anyWrite, { minLength: 1, maxLength: 40 }), (writes) => {
        const damaged = bytes.slice();
        for (const { at, byte } of writes) damaged[at] = byte;
        kernel.memory.place(kernel.tableAddress, damaged);
        const result = findKallsyms(kernel.memory, imageOf(kernel));
        if (result.outcome === 'found')
          expect([...result.symbols.entries()].length).toBe(result.symbols.count);
      }),
      { numRuns: 60, seed: 2 },
    );
  });
});

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

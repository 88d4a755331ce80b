import { describe, expect, test } from 'vitest';
import { gva } from '../../src/memory/address.ts';
import { Disassembler, skipLength } from '../../src/x86/instruction.ts';

function bytes(hex: string): Uint8Array {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}

describe('the disassembler', () => {
  test('gives address, bytes and text of each instruction', () => {
    using disassembler = new Disassembler();
    const listing = disassembler.disassemble(
      bytes('4831c0 b83b000000 488d3d10000000 0f05'),
      gva(0x1000n),
      10,
    );
    expect(listing.map(({ address, text }) => [address, text])).toEqual([
      [0x1000n, 'xor rax,rax'],
      [0x1003n, 'mov eax,3Bh'],
      [0x1008n, 'lea rdi,[101Fh]'],
      [0x100fn, 'syscall'],
    ]);
    expect(listing.map((line) => Buffer.from(line.bytes).toString('hex')).join('')).toBe(
      '4831c0b83b000000488d3d100000000f05',
    );
  });

  test('stops behind bytes that are no instruction, and at its bound', () => {
    using disassembler = new Disassembler();
    expect(disassembler.disassemble(bytes('90 06 90'), gva(0n), 10).map(({ text }) => text)).toEqual([
      'nop',
      '(bad)',
    ]);
    expect(disassembler.disassemble(bytes('90909090'), gva(0n), 2)).toHaveLength(2);
    expect(disassembler.disassemble(bytes(''), gva(0n), 2)).toEqual([]);
    expect(disassembler.disassemble(bytes('48b8'), gva(0n), 2).map(({ text }) => text)).toEqual(['(bad)']);
  });

  test('knows 32-bit code', () => {
    using disassembler = new Disassembler(32);
    expect(disassembler.disassemble(bytes('40cd80'), gva(0n), 10).map(({ text }) => text)).toEqual([
      'inc eax',
      'int 80h',
    ]);
  });
});

describe("what may be skipped at a function's entry", () => {
  test.each([
    ['a 5-byte NOP of Linux 5.10', '66666666 90 55', 5],
    ['a 5-byte NOP of Linux 6.1', '0f1f440000 55', 5],
    ['ENDBR64 and a NOP', 'f30f1efa 0f1f440000 55', 9],
    ['a sealed ENDBR64 and a NOP', '660f1f00 0f1f440000 55', 9],
    ['another sealed form', '0f1f40d6 0f1f440000 55', 9],
    ['ENDBR64 alone', 'f30f1efa 55', 4],
    ['nothing', '55 4889e5', 0],
    ['nothing, where ftrace put its call', 'e800000000 55', 0],
    ['no static branch behind the NOP', '0f1f440000 0f1f440000', 5],
    ['no short NOP', '6690 55', 0],
    ['no bytes', '', 0],
    ['half an instruction', '0f1f44', 0],
  ])('is %s', (_, code, length) => {
    expect(skipLength(bytes(code))).toBe(length);
  });
});

import { describe, expect, test } from 'vitest';
import { findPrologue, jumpTo } from '../../../src/hooks/detours/prologue.ts';
import { gva } from '../../../src/memory/address.ts';
import { KernelInArray, TEXT } from './kernel-in-array.ts';

const FTRACE_NOP = '0f1f440000';

/** The prologue of a function with that code: where its site is from the entry on, and what is displaced. */
function prologueOf(code: string): [number, string] {
  const kernel = new KernelInArray();
  const entry = kernel.place('function', 0x1000, code);
  kernel.place('next', 0x1100);
  const { site, displaced } = findPrologue(kernel.memory, kernel.symbols, entry);
  return [Number(site - entry), Buffer.from(displaced).toString('hex')];
}

describe('a site', () => {
  test.each([
    ['without NOPs', '415741564155 c3', [0, '415741564155']],
    ["behind ftrace's NOP", `${FTRACE_NOP} 41574989ff c3`, [5, '41574989ff']],
    [
      'behind ENDBR64 and the NOP',
      `f30f1efa ${FTRACE_NOP} 4157 4156 41bef80e0000 c3`,
      [9, '4157415641bef80e0000'],
    ],
    ["behind a sealed ENDBR64's NOP", `660f1f00 ${FTRACE_NOP} 4881ece0000000 c3`, [9, '4881ece0000000']],
    ['with memory relative to itself', `${FTRACE_NOP} 5553488b1d721fd200 c3`, [5, '5553488b1d721fd200']],
    ['with a per-CPU variable', `${FTRACE_NOP} 65488b0425c0fb0100 c3`, [5, '65488b0425c0fb0100']],
  ])('%s', (_what, code, expected) => {
    expect(prologueOf(code)).toEqual(expected);
  });

  test.each([
    ['a return', `${FTRACE_NOP} 31c0 c3`],
    ['a call', `${FTRACE_NOP} 55 e800000000 c3`],
    ['a static call’s jump', `${FTRACE_NOP} e900000000`],
    ['a breakpoint', `${FTRACE_NOP} 55 cc 4157`],
    ['a static branch’s NOP', `${FTRACE_NOP} 55 0f1f440000 c3`],
    ['bytes that are no code', `${FTRACE_NOP} 55 0606060606`],
  ])('with %s is refused', (_what, code) => {
    expect(() => prologueOf(code)).toThrow(/cannot be moved/);
  });

  test('into which the function branches is refused', () => {
    // push r15; push r14; push r13; jmp to the second push
    expect(() => prologueOf(`${FTRACE_NOP} 415741564155 ebfa c3`)).toThrow(/leads into/);
    // the same to the first one: the jump that takes its place
    expect(prologueOf(`${FTRACE_NOP} 415741564155 ebf8 c3`)).toEqual([5, '415741564155']);
  });
});

describe('a jump', () => {
  const prologue = { site: gva(TEXT + 0x1005n), displaced: Buffer.from('41574156415541', 'hex') };

  test('leads to the stub, with NOPs up to the next instruction', () => {
    expect(Buffer.from(jumpTo(prologue, TEXT + 0x2005n)).toString('hex')).toBe('e9fb0f00009090');
  });

  test('cannot lead further than 2 GiB', () => {
    expect(() => jumpTo(prologue, TEXT - 0x8000_0000n)).toThrow(/out of reach/);
  });
});

import { Code, Register } from 'iced-x86';
import { describe, expect, test } from 'vitest';
import {
  address,
  at,
  imm,
  indexed,
  inPlace,
  label,
  perCpu,
  StubAssembler,
} from '../../../src/hooks/detours/stub-assembler.ts';
import { gva } from '../../../src/memory/address.ts';

const BASE = gva(0xffff_ffff_8100_0000n);

function assembled(write: (a: StubAssembler) => void, base = BASE): string {
  const a = new StubAssembler();
  write(a);
  return Buffer.from(a.assemble(base).bytes).toString('hex');
}

describe('operands', () => {
  test.each([
    ['a register', (a: StubAssembler) => a.emit(Code.Push_r64, Register.RDI), '57'],
    ['two registers', (a: StubAssembler) => a.emit(Code.Mov_r64_rm64, Register.RAX, Register.RDI), '488bc7'],
    [
      'memory without a displacement',
      (a: StubAssembler) => a.emit(Code.Mov_r64_rm64, Register.RAX, at(Register.RDI)),
      '488b07',
    ],
    [
      'memory with a base, an index and a displacement',
      (a: StubAssembler) =>
        a.emit(Code.Lea_r64_m, Register.RBP, indexed(Register.RBX, Register.RSI, 8, 0x1000)),
      '488dacf300100000',
    ],
    [
      'a per-CPU variable at an offset',
      (a: StubAssembler) => a.emit(Code.Mov_r64_rm64, Register.RAX, perCpu(0x1fbc0n)),
      '65488b0425c0fb0100',
    ],
    [
      'a per-CPU variable at a kernel address, sign-extended',
      (a: StubAssembler) => a.emit(Code.Mov_r64_rm64, Register.RAX, perCpu(0xffff_ffff_8300_0000n)),
      '65488b042500000083',
    ],
    [
      'memory in a place, relative to the instruction',
      (a: StubAssembler) => a.emit(Code.Cmp_rm32_imm8, inPlace(address(BASE + 0x1000n)), imm(0)),
      '833df90f000000',
    ],
    [
      'a constant of 64 bits',
      (a: StubAssembler) => a.emit(Code.Mov_r64_imm64, Register.RBX, imm(0xffff_8880_1234_0000n)),
      '48bb000034128088ffff',
    ],
    ['a lock prefix', (a: StubAssembler) => a.locked(Code.Inc_rm32, at(Register.RBX, 8)), 'f0ff4308'],
  ])('%s', (_what, write, bytes) => {
    expect(assembled(write)).toBe(bytes);
  });

  test('that no instruction has are refused', () => {
    expect(() => assembled((a) => a.emit(Code.Push_r64, imm(1)))).toThrow(RangeError);
    expect(() => assembled((a) => a.emit(Code.Mov_r64_rm64, imm(1), Register.RAX))).toThrow(RangeError);
  });
});

describe('labels', () => {
  test('are reached forwards and backwards', () => {
    const bytes = assembled((a) => {
      a.emit(Code.Jmp_rel32_64, label('end')).label('middle').emit(Code.Retnq);
      a.label('end').emit(Code.Jmp_rel32_64, label('middle'));
    });
    expect(bytes).toBe('e901000000' + 'c3' + 'e9faffffff');
  });

  test('say where they came to lie', () => {
    const stub = new StubAssembler().emit(Code.Pause).label('here').emit(Code.Retnq).assemble(BASE);
    expect(stub.addressOf('here')).toBe(BASE + 2n);
    expect(stub.disassemble()).toBe('  pause\nhere:\n  ret');
    expect(() => stub.addressOf('there')).toThrow(RangeError);
  });

  test('that are unknown or there twice are refused', () => {
    expect(() => assembled((a) => a.emit(Code.Jmp_rel32_64, label('nowhere')))).toThrow(RangeError);
    expect(() => new StubAssembler().label('one').label('one')).toThrow(RangeError);
  });
});

test('moved instructions go on meaning the same', () => {
  // push r15; mov rbx,[rip+0x1000] at BASE, so from BASE + 0x1009
  const code = Buffer.from('4157488b1d00100000', 'hex');
  expect(assembled((a) => a.moved(code, BASE), gva(BASE + 0x100n))).toBe('4157488b1d000f0000');
});

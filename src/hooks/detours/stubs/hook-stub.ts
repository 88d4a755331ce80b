import { Code, Register } from 'iced-x86';
import { FILTER_BITS, FILTER_COUNT_OFFSET, FILTER_SLOTS, HASH_FACTOR } from '../filter-layout.ts';
import type { ArgumentIndex, Hook, StubTest } from '../hook.ts';
import { Action } from '../mailbox-layout.ts';
import type { Prologue } from '../prologue.ts';
import { address, at, imm, indexed, inPlace, label, StubAssembler } from '../stub-assembler.ts';
import type { StubEnvironment } from './environment.ts';

const { RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11 } = Register;
const { EAX, ECX, EDX, ESI, EDI, R8D, R9D, R10D, R11D } = Register;
const ARGUMENTS = [RDI, RSI, RDX, RCX, R8, R9] as const;
const ARGUMENTS_32 = [EDI, ESI, EDX, ECX, R8D, R9D] as const;

/** Addresses of the routines that all stubs share. */
export interface SharedRoutines {
  readonly request: bigint;
  readonly releaseLeaf: bigint;
}

/**
 * The stub of one hook: entered by a jump in the state of a function's entry, where rax, r10 and r11 are free. It
 * filters, asks the engine about what passes, and goes on with the function unless told otherwise.
 */
export function hookStub(
  number: number,
  hook: Hook,
  prologue: Prologue,
  environment: StubEnvironment,
  shared: SharedRoutines,
): StubAssembler {
  const a = new StubAssembler();
  const miss = hook.does.kind === 'catch' && hook.does.release ? 'release' : 'back';
  if (hook.does.kind === 'catch') for (const test of hook.tests) emitTest(a, test);
  emitAddressSpace(a, hook, environment);
  if (hook.addressSpace.kind !== 'any') emitLookUp(a, environment, miss);
  if (hook.does.kind === 'ask') for (const test of hook.tests) emitTest(a, test);
  a.emit(Code.Mov_r32_imm32, R10D, imm(number));
  a.emit(Code.Call_rel32_64, address(shared.request));
  if (miss === 'release') emitRelease(a, hook, shared);
  emitGoOn(a, prologue);
  return a;
}

/**
 * Makes written memory non-executable again, without the engine: at `ptep_set_access_flags(vma, address, ptep, entry,
 * dirty)` and its twin for large pages, which the kernel calls to give a page's write permission back. In an armed
 * VMA (executable by its flags, not by its `vm_page_prot`) the old entry is cleared and flushed by the guest's own
 * function, and the new one gets no-execute. An entry that is not dirty is not written by the function, so it must stay.
 */
export function rearmStub(
  vma: { readonly vm_flags: number; readonly vm_page_prot: number },
  clearAndFlush: bigint,
  prologue: Prologue,
): StubAssembler {
  const a = new StubAssembler();
  a.emit(Code.Test_rm8_imm8, at(RDI, vma.vm_flags), imm(VM_EXEC));
  a.emit(Code.Je_rel32_64, label('back'));
  a.emit(Code.Cmp_rm64_imm8, at(RDI, vma.vm_page_prot), imm(0));
  a.emit(Code.Jns_rel32_64, label('back'));
  a.emit(Code.Test_rm32_r32, R8D, R8D);
  a.emit(Code.Je_rel32_64, label('back'));
  const saved = [RDI, RSI, RDX, RCX, R8];
  for (const register of saved) a.emit(Code.Push_r64, register);
  a.emit(Code.Call_rel32_64, address(clearAndFlush));
  for (const register of saved.toReversed()) a.emit(Code.Pop_r64, register);
  a.emit(Code.Bts_rm64_imm8, RCX, imm(63));
  emitGoOn(a, prologue);
  return a;
}

const VM_EXEC = 4;

/** Runs the instructions that the detour took the place of, and goes back behind them. */
function emitGoOn(a: StubAssembler, { site, displaced }: Prologue): void {
  a.label('back');
  a.moved(displaced, site);
  a.emit(Code.Jmp_rel32_64, address(site + BigInt(displaced.length)));
}

/** The address space whose table entry decides, into rax. */
function emitAddressSpace(a: StubAssembler, { addressSpace }: Hook, environment: StubEnvironment): void {
  switch (addressSpace.kind) {
    case 'any':
      a.emit(Code.Xor_r32_rm32, EAX, EAX);
      return;
    case 'current':
      a.emit(Code.Mov_r64_rm64, RAX, environment.currentTask);
      a.emit(Code.Mov_r64_rm64, RAX, at(RAX, environment.taskMm));
      return;
    case 'argument':
      a.emit(Code.Mov_r64_rm64, RAX, ARGUMENTS[addressSpace.argument]);
      return;
    case 'member':
      a.emit(Code.Mov_r64_rm64, RAX, at(ARGUMENTS[addressSpace.argument], addressSpace.offset));
  }
}

/** Goes on where rax is in the table; the slots looked at end with one never used, of which the engine keeps some. */
function emitLookUp(a: StubAssembler, { filterTable }: StubEnvironment, miss: string): void {
  a.emit(Code.Cmp_rm32_imm8, inPlace(address(filterTable + BigInt(FILTER_COUNT_OFFSET))), imm(0));
  a.emit(Code.Je_rel32_64, label(miss));
  a.emit(Code.Imul_r64_rm64_imm32, R10, RAX, imm(HASH_FACTOR));
  a.emit(Code.Shr_rm64_imm8, R10, imm(64 - FILTER_BITS));
  a.emit(Code.Lea_r64_m, R11, inPlace(address(filterTable)));
  a.label('probe');
  a.emit(Code.Cmp_rm64_imm8, indexed(R11, R10, 8), imm(0));
  a.emit(Code.Je_rel32_64, label(miss));
  a.emit(Code.Cmp_rm64_r64, indexed(R11, R10, 8), RAX);
  a.emit(Code.Je_rel32_64, label('protected'));
  a.emit(Code.Inc_rm32, R10D);
  a.emit(Code.And_rm32_imm32, R10D, imm(FILTER_SLOTS - 1));
  a.emit(Code.Jmp_rel32_64, label('probe'));
  a.label('protected');
}

/** Goes on where the condition holds. */
function emitTest(a: StubAssembler, test: StubTest): void {
  switch (test.kind) {
    case 'bits':
      a.emit(Code.Mov_r32_rm32, R10D, argument32(test.argument));
      a.emit(Code.And_rm32_imm32, R10D, imm(test.mask));
      a.emit(Code.Cmp_rm32_imm32, R10D, imm(test.equals));
      a.emit(Code.Jne_rel32_64, label('back'));
      return;
    case 'flag':
      a.emit(Code.Test_rm8_imm8, at(ARGUMENTS[test.argument], test.offset), imm(test.mask));
      a.emit(Code.Je_rel32_64, label('back'));
      return;
    case 'null':
      a.emit(Code.Cmp_rm64_imm8, at(ARGUMENTS[test.argument], test.offset), imm(0));
      a.emit(Code.Jne_rel32_64, label('back'));
  }
}

function argument32(index: ArgumentIndex): Register {
  return ARGUMENTS_32[index];
}

/** Nobody answered: an armed page is released and its instruction tried again; any other fault is the process's own. */
function emitRelease(a: StubAssembler, { does }: Hook, shared: SharedRoutines): void {
  if (does.kind !== 'catch') return;
  a.emit(Code.Cmp_rm32_imm8, R11D, imm(Action.unanswered));
  a.emit(Code.Jne_rel32_64, label('back'));
  a.label('release');
  a.emit(Code.Push_r64, RDI);
  a.emit(Code.Push_r64, RCX);
  a.emit(Code.Mov_r64_rm64, RDI, ARGUMENTS[does.address]);
  a.emit(Code.Call_rel32_64, address(shared.releaseLeaf));
  a.emit(Code.Pop_r64, RCX);
  a.emit(Code.Pop_r64, RDI);
  a.emit(Code.Test_rm32_r32, EAX, EAX);
  a.emit(Code.Je_rel32_64, label('back'));
  a.emit(Code.Retnq);
}

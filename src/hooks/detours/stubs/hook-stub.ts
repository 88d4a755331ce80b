import { Code, Register } from 'iced-x86';
import { FILTER_BITS, FILTER_COUNT_OFFSET, FILTER_SLOTS, HASH_FACTOR } from '../filter-layout.ts';
import type { AddressSpaceSource, ArgumentIndex, Hook, ProgramLayout, StubTest } from '../hook.ts';
import { Action } from '../mailbox-layout.ts';
import type { Prologue } from '../prologue.ts';
import { address, at, imm, indexed, inPlace, label, StubAssembler } from '../stub-assembler.ts';
import type { StubEnvironment } from './environment.ts';

const { RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11 } = Register;
const { EAX, ECX, EDX, ESI, EDI, R8D, R9D, R10D, R11D } = Register;
/** `VM_EXEC` in the lowest byte of `vm_flags` (include/linux/mm.h). */
const VM_EXEC = 4;
const NO_EXECUTE_BIT = 63;
/** The prime of the 32-bit FNV hash. */
const MIX_FACTOR = 0x0100_0193;
const ARGUMENTS = [RDI, RSI, RDX, RCX, R8, R9] as const;
const ARGUMENTS_32 = [EDI, ESI, EDX, ECX, R8D, R9D] as const;

/** Addresses of the routines that all stubs share. */
export interface SharedRoutines {
  readonly request: bigint;
  readonly releaseLeaf: bigint;
}

/**
 * The stub of one hook: entered by a jump in the state of a function's entry, where rax, r10 and r11 are free. It goes
 * on with the function unless told otherwise.
 */
export function hookStub(
  number: number,
  hook: Hook,
  prologue: Prologue,
  environment: StubEnvironment,
  shared: SharedRoutines,
): StubAssembler {
  const a = new StubAssembler();
  switch (hook.does.kind) {
    case 'ask':
      emitFilter(a, hook, environment, 'back');
      for (const test of hook.tests) emitTest(a, test);
      emitRequest(a, number, shared);
      break;
    case 'catch':
      for (const test of hook.tests) emitTest(a, test);
      emitFilter(a, hook, environment, hook.does.release ? 'release' : 'back');
      emitRequest(a, number, shared);
      if (hook.does.release) emitRelease(a, ARGUMENTS[hook.does.address], shared);
      break;
    case 'rearm':
      emitRearm(a, hook.does.clear, environment);
  }
  emitGoOn(a, prologue);
  return a;
}

/** Goes on where the address space, or the program, matters; its key is then in rax. */
function emitFilter(a: StubAssembler, hook: Hook, environment: StubEnvironment, miss: string): void {
  const { addressSpace } = hook;
  if (addressSpace.kind === 'program') {
    emitProgramKey(a, ARGUMENTS[addressSpace.argument], addressSpace.layout);
    emitLookUp(a, environment.programTable, { found: miss, notFound: 'matters' });
  } else if (addressSpace.kind !== 'any') {
    emitSkipIfEmpty(a, environment, miss);
    emitAddressSpace(a, addressSpace, environment);
    emitLookUp(a, environment.filterTable, { found: 'matters', notFound: miss });
  } else a.emit(Code.Xor_r32_rm32, EAX, EAX);
  a.label('matters');
}

/** The `mm_struct` whose entry in the table decides, into rax. */
function emitAddressSpace(
  a: StubAssembler,
  source: Exclude<AddressSpaceSource, { kind: 'any' | 'program' }>,
  { currentTask, taskMm }: StubEnvironment,
): void {
  switch (source.kind) {
    case 'current':
      a.emit(Code.Mov_r64_rm64, RAX, currentTask);
      a.emit(Code.Mov_r64_rm64, RAX, at(RAX, taskMm));
      return;
    case 'argument':
      a.emit(Code.Mov_r64_rm64, RAX, ARGUMENTS[source.argument]);
      return;
    case 'member':
      a.emit(Code.Mov_r64_rm64, RAX, at(ARGUMENTS[source.argument], source.offset));
  }
}

/** Leaves at once where nothing is protected. */
function emitSkipIfEmpty(a: StubAssembler, { filterTable }: StubEnvironment, miss: string): void {
  a.emit(Code.Cmp_rm32_imm8, inPlace(address(filterTable + BigInt(FILTER_COUNT_OFFSET))), imm(0));
  a.emit(Code.Je_rel32_64, label(miss));
}

/**
 * A number for what is being executed, into rax: made of the mount, the directory entry with its name's hash, and the
 * path by which it was called, so that a file that is renamed or called by another name is another program. Bit 63 is
 * set, as in an address, so that it is never one of the table's own values.
 */
function emitProgramKey(a: StubAssembler, program: Register, layout: ProgramLayout): void {
  const mix = () => a.emit(Code.Imul_r64_rm64_imm32, R10, R10, imm(MIX_FACTOR));
  a.emit(Code.Mov_r64_rm64, RAX, at(program, layout.file));
  a.emit(Code.Mov_r64_rm64, R10, at(RAX, layout.mount));
  mix();
  a.emit(Code.Mov_r64_rm64, RAX, at(RAX, layout.dentry));
  a.emit(Code.Xor_r64_rm64, R10, RAX);
  mix();
  a.emit(Code.Xor_r64_rm64, R10, at(RAX, layout.nameHash));
  mix();
  a.emit(Code.Mov_r64_rm64, R11, at(program, layout.filename));
  a.label('nextByte');
  a.emit(Code.Movzx_r32_rm8, EAX, at(R11));
  a.emit(Code.Test_rm32_r32, EAX, EAX);
  a.emit(Code.Je_rel32_64, label('named'));
  a.emit(Code.Xor_r64_rm64, R10, RAX);
  mix();
  a.emit(Code.Inc_rm64, R11);
  a.emit(Code.Jmp_rel32_64, label('nextByte'));
  a.label('named');
  a.emit(Code.Mov_r64_rm64, RAX, R10);
  a.emit(Code.Bts_rm64_imm8, RAX, imm(63));
}

function emitRequest(a: StubAssembler, number: number, { request }: SharedRoutines): void {
  a.emit(Code.Mov_r32_imm32, R10D, imm(number));
  a.emit(Code.Call_rel32_64, address(request));
}

/**
 * Makes written memory non-executable again, without the engine: at `ptep_set_access_flags(vma, address, ptep, entry,
 * dirty)` and its twin for large pages, which the kernel calls to give a page's write permission back. In an armed
 * VMA (executable by its flags, not by its `vm_page_prot`) the old entry is cleared and flushed by the guest's own
 * function, and the new one gets no-execute. An entry that is not dirty is not written by the function, so it must stay.
 */
function emitRearm(a: StubAssembler, clear: bigint, { vmaFlags, vmaProtection }: StubEnvironment): void {
  a.emit(Code.Test_rm8_imm8, at(RDI, vmaFlags), imm(VM_EXEC));
  a.emit(Code.Je_rel32_64, label('back'));
  a.emit(Code.Cmp_rm64_imm8, at(RDI, vmaProtection), imm(0));
  a.emit(Code.Jns_rel32_64, label('back'));
  a.emit(Code.Test_rm32_r32, R8D, R8D);
  a.emit(Code.Je_rel32_64, label('back'));
  const saved = [RDI, RSI, RDX, RCX, R8];
  for (const register of saved) a.emit(Code.Push_r64, register);
  a.emit(Code.Call_rel32_64, address(clear));
  for (const register of saved.toReversed()) a.emit(Code.Pop_r64, register);
  a.emit(Code.Bts_rm64_imm8, RCX, imm(NO_EXECUTE_BIT));
}

/** Runs the instructions that the detour took the place of, and goes back behind them. */
function emitGoOn(a: StubAssembler, { site, displaced }: Prologue): void {
  a.label('back');
  a.moved(displaced, site);
  a.emit(Code.Jmp_rel32_64, address(site + BigInt(displaced.length)));
}

/** Looks rax up; the slots looked at end with one never used, of which the engine keeps some. */
function emitLookUp(a: StubAssembler, table: bigint, where: { found: string; notFound: string }): void {
  a.emit(Code.Imul_r64_rm64_imm32, R10, RAX, imm(HASH_FACTOR));
  a.emit(Code.Shr_rm64_imm8, R10, imm(64 - FILTER_BITS));
  a.emit(Code.Lea_r64_m, R11, inPlace(address(table)));
  a.label('probe');
  a.emit(Code.Cmp_rm64_imm8, indexed(R11, R10, 8), imm(0));
  a.emit(Code.Je_rel32_64, label(where.notFound));
  a.emit(Code.Cmp_rm64_r64, indexed(R11, R10, 8), RAX);
  a.emit(Code.Je_rel32_64, label(where.found));
  a.emit(Code.Inc_rm32, R10D);
  a.emit(Code.And_rm32_imm32, R10D, imm(FILTER_SLOTS - 1));
  a.emit(Code.Jmp_rel32_64, label('probe'));
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
function emitRelease(a: StubAssembler, faultAddress: Register, { releaseLeaf }: SharedRoutines): void {
  a.emit(Code.Cmp_rm32_imm8, R11D, imm(Action.unanswered));
  a.emit(Code.Jne_rel32_64, label('back'));
  a.label('release');
  a.emit(Code.Push_r64, RDI);
  a.emit(Code.Push_r64, RCX);
  a.emit(Code.Mov_r64_rm64, RDI, faultAddress);
  a.emit(Code.Call_rel32_64, address(releaseLeaf));
  a.emit(Code.Pop_r64, RCX);
  a.emit(Code.Pop_r64, RDI);
  a.emit(Code.Test_rm32_r32, EAX, EAX);
  a.emit(Code.Je_rel32_64, label('back'));
  a.emit(Code.Retnq);
}

import { Code, Register } from 'iced-x86';
import { MARK_BIT } from '../armed-pages.ts';
import { Header } from '../mailbox-layout.ts';
import { at, imm, indexed, label, type StubAssembler } from '../stub-assembler.ts';
import type { StubEnvironment } from './environment.ts';

const { RAX, RDX, RSI, RDI, R10, R11 } = Register;
const { EAX, ECX, R11D, CL, R10L } = Register;

/** Bits of a page-table entry (Intel SDM vol. 3A, table 4-20). */
const FRAME = 0x000f_ffff_ffff_f000n;
const NO_EXECUTE_BIT = 63;
const PRESENT = 1;
const LARGE = 0x80;
/** The lowest address bit that the root table's index is made of (Intel SDM vol. 3A 4.5.4). */
const ROOT_SHIFT = { 4: 39, 5: 48 } as const;
const LEAF_SHIFT = 12;

/**
 * Routines that change the entry by which the running process maps a user address (rdi): atomically for the guest,
 * with interrupts off from the walk to the change, so that the kernel cannot free the tables meanwhile (it waits for
 * interrupts to be served: `tlb_remove_table_sync_one`, or the flush itself, as for its own lockless walks).
 *
 * `exchangeLeaf`: if the entry is rsi, it becomes rdx; eax = 1 if so, else 0.
 * `releaseLeaf`: if the entry has the mark, its no-execute bit is cleared; eax = 1 where the access is to be tried again:
 * so, where the entry allows execution already (the CPU went by an older one), or the guest changed it in that moment.
 * Both lose rcx, r10 and r11.
 */
export function emitLeafRoutines(a: StubAssembler, environment: StubEnvironment): void {
  emitExchangeLeaf(a);
  emitReleaseLeaf(a, environment);
  emitFindLeaf(a, environment);
}

function emitExchangeLeaf(a: StubAssembler): void {
  a.label('exchangeLeaf');
  a.emit(Code.Pushfq);
  a.emit(Code.Cli);
  a.emit(Code.Call_rel32_64, label('findLeaf'));
  a.emit(Code.Test_rm64_r64, R11, R11);
  a.emit(Code.Je_rel32_64, label('unchanged'));
  a.emit(Code.Mov_r64_rm64, RAX, RSI);
  a.locked(Code.Cmpxchg_rm64_r64, at(R11), RDX);
  a.emit(Code.Jne_rel32_64, label('unchanged'));
  a.label('changed');
  a.emit(Code.Mov_r32_imm32, EAX, imm(1));
  a.emit(Code.Popfq);
  a.emit(Code.Retnq);
  a.label('unchanged');
  a.emit(Code.Xor_r32_rm32, EAX, EAX);
  a.emit(Code.Popfq);
  a.emit(Code.Retnq);
}

function emitReleaseLeaf(a: StubAssembler, { mailbox }: StubEnvironment): void {
  a.label('releaseLeaf');
  a.emit(Code.Pushfq);
  a.emit(Code.Cli);
  a.emit(Code.Call_rel32_64, label('findLeaf'));
  a.emit(Code.Test_rm64_r64, R11, R11);
  a.emit(Code.Je_rel32_64, label('unchanged'));
  a.emit(Code.Bt_rm64_imm8, R10, imm(NO_EXECUTE_BIT));
  a.emit(Code.Jae_rel32_64, label('changed'));
  a.emit(Code.Bt_rm64_imm8, R10, imm(MARK_BIT));
  a.emit(Code.Jae_rel32_64, label('unchanged'));
  a.emit(Code.Mov_r64_rm64, RAX, R10);
  a.emit(Code.Btr_rm64_imm8, R10, imm(NO_EXECUTE_BIT));
  a.locked(Code.Cmpxchg_rm64_r64, at(R11), R10);
  a.emit(Code.Mov_r64_imm64, RAX, imm(mailbox));
  a.locked(Code.Inc_rm32, at(RAX, Header.released));
  a.emit(Code.Jmp_rel32_64, label('changed'));
}

/** r11 = kernel address of the present leaf entry for rdi in the running process, or 0; r10 = the entry. */
function emitFindLeaf(a: StubAssembler, environment: StubEnvironment): void {
  const { currentTask, taskMm, mmPgd, directMap, pagingLevels } = environment;
  a.label('findLeaf');
  a.emit(Code.Mov_r64_rm64, RAX, currentTask);
  a.emit(Code.Mov_r64_rm64, RAX, at(RAX, taskMm));
  a.emit(Code.Test_rm64_r64, RAX, RAX);
  a.emit(Code.Je_rel32_64, label('noLeaf'));
  a.emit(Code.Mov_r64_rm64, R11, at(RAX, mmPgd));
  a.emit(Code.Mov_r32_imm32, ECX, imm(ROOT_SHIFT[pagingLevels]));
  a.label('nextLevel');
  a.emit(Code.Mov_r64_rm64, RAX, RDI);
  a.emit(Code.Shr_rm64_CL, RAX, CL);
  a.emit(Code.And_EAX_imm32, EAX, imm(511));
  a.emit(Code.Lea_r64_m, R11, indexed(R11, RAX, 8));
  a.emit(Code.Mov_r64_rm64, R10, at(R11));
  a.emit(Code.Test_rm8_imm8, R10L, imm(PRESENT));
  a.emit(Code.Je_rel32_64, label('noLeaf'));
  a.emit(Code.Cmp_rm32_imm8, ECX, imm(LEAF_SHIFT));
  a.emit(Code.Je_rel32_64, label('leaf'));
  a.emit(Code.Test_rm8_imm8, R10L, imm(LARGE));
  a.emit(Code.Jne_rel32_64, label('leaf'));
  a.emit(Code.Mov_r64_imm64, RAX, imm(FRAME));
  a.emit(Code.And_r64_rm64, R10, RAX);
  a.emit(Code.Mov_r64_imm64, R11, imm(directMap));
  a.emit(Code.Add_r64_rm64, R11, R10);
  a.emit(Code.Sub_rm32_imm8, ECX, imm(9));
  a.emit(Code.Jmp_rel32_64, label('nextLevel'));
  a.label('noLeaf');
  a.emit(Code.Xor_r32_rm32, R11D, R11D);
  a.label('leaf');
  a.emit(Code.Retnq);
}

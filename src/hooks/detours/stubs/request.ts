import { Code, Register } from 'iced-x86';
import {
  Action,
  COST_SIZE,
  Header,
  SEQUENCE_LIMIT,
  SLOT_COUNT,
  SLOT_SIZE,
  SLOTS_OFFSET,
  Slot,
  SlotState,
} from '../mailbox-layout.ts';
import { address, at, imm, indexed, label, type StubAssembler } from '../stub-assembler.ts';
import type { StubEnvironment } from './environment.ts';

const { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9 } = Register;
const { EAX, ECX, EDX, ESI, EDI, R8D, R10D, R11D, AL, DX } = Register;

/** What the routine saves, in the order in which it pushes them. */
const SAVED = [RDI, RSI, RDX, RCX, R8, R9, RBX, RBP];
/** Arguments of a function in order (System V ABI for x86-64, 3.2.3): the first six of SAVED. */
const ARGUMENTS = SAVED.slice(0, 6);
/** From rsp, once all is saved, to the function's return address: what was saved, and the return into the stub. */
const ENTRY_STACK = 8 * (SAVED.length + 1);
const SIGKILL = 9;
/**
 * Times round the loop that a request waits on behind its deadline, some 20 ms: the time-stamp counter runs on while the
 * host stands still, and the engine stood still with it.
 */
const GRACE = 200_000;

/**
 * The routine that puts one arrival to the engine and waits for what it says. Called by every stub that asks, in the
 * state of a function's entry, with r10d = number of the stub and rax = what the filter looked up.
 *
 * Returns with r11d = `goOn` or `unanswered` and every argument register as it was; for the other verdicts it
 * leaves the function in the stub's place. Interrupts stay as they are, so the waiting CPU serves them.
 */
export function emitRequest(a: StubAssembler, environment: StubEnvironment): void {
  a.label('request');
  for (const register of SAVED) a.emit(Code.Push_r64, register);
  a.emit(Code.Mov_r64_imm64, RBX, imm(environment.mailbox));
  emitBreaker(a);
  emitClaim(a);
  emitArrival(a, environment);
  emitAsk(a, environment);
  emitWait(a);
  emitVerdict(a);
  emitLeave(a, environment);
  emitCall(a);
  emitExchange(a);
}

/** Nothing is asked where no engine is, or where it did not answer once. */
function emitBreaker(a: StubAssembler): void {
  a.emit(Code.Mov_r32_rm32, ECX, at(RBX, Header.enabled));
  a.emit(Code.Test_rm32_r32, ECX, ECX);
  a.emit(Code.Je_rel32_64, label('unanswered'));
  a.emit(Code.Cmp_rm32_r32, at(RBX, Header.tripped), ECX);
  a.emit(Code.Je_rel32_64, label('unanswered'));
}

/** Takes a free slot (rbp); the search begins at one that depends on the task's stack, so that tasks rarely meet. */
function emitClaim(a: StubAssembler): void {
  a.emit(Code.Mov_r64_rm64, RDX, RAX);
  a.emit(Code.Mov_r64_rm64, RCX, RSP);
  a.emit(Code.Shr_rm64_imm8, RCX, imm(15));
  a.emit(Code.Mov_r32_imm32, EDI, imm(SLOT_COUNT));
  a.label('claim');
  a.emit(Code.And_rm32_imm8, ECX, imm(SLOT_COUNT - 1));
  a.emit(Code.Mov_r32_rm32, ESI, ECX);
  a.emit(Code.Shl_rm32_imm8, ESI, imm(Math.log2(SLOT_SIZE)));
  a.emit(Code.Lea_r64_m, RBP, indexed(RBX, RSI, 1, SLOTS_OFFSET));
  a.emit(Code.Xor_r32_rm32, EAX, EAX);
  a.emit(Code.Mov_r32_imm32, R8D, imm(SlotState.claimed));
  a.locked(Code.Cmpxchg_rm32_r32, at(RBP, Slot.state), R8D);
  a.emit(Code.Je_rel32_64, label('claimed'));
  a.emit(Code.Inc_rm32, ECX);
  a.emit(Code.Pause);
  a.emit(Code.Dec_rm32, EDI);
  a.emit(Code.Jne_rel32_64, label('claim'));
  a.locked(Code.Inc_rm32, at(RBX, Header.dropped));
  a.emit(Code.Jmp_rel32_64, label('unanswered'));
}

/** Writes down who arrived, with what arguments. */
function emitArrival(a: StubAssembler, { currentTask, cpuNumber }: StubEnvironment): void {
  a.label('claimed');
  a.emit(Code.Mov_rm32_r32, at(RBP, Slot.stub), R10D);
  a.emit(Code.Mov_rm64_r64, at(RBP, Slot.key), RDX);
  a.emit(Code.Mov_r64_rm64, RAX, currentTask);
  a.emit(Code.Mov_rm64_r64, at(RBP, Slot.task), RAX);
  a.emit(Code.Mov_r32_rm32, EAX, cpuNumber);
  a.emit(Code.Mov_rm32_r32, at(RBP, Slot.cpu), EAX);
  for (const index of ARGUMENTS.keys()) {
    a.emit(Code.Mov_r64_rm64, RAX, at(RSP, 8 * (SAVED.length - 1 - index)));
    a.emit(Code.Mov_rm64_r64, at(RBP, Slot.arguments + 8 * index), RAX);
  }
  a.emit(Code.Lea_r64_m, RAX, at(RSP, ENTRY_STACK));
  a.emit(Code.Mov_rm64_r64, at(RBP, Slot.stack), RAX);
  a.emit(Code.Mov_rm32_imm32, at(RBP, Slot.calls), imm(0));
  emitTime(a);
  a.emit(Code.Mov_rm64_r64, at(RBP, Slot.arrived), RAX);
}

/** The time-stamp counter into rax; rdx is lost. */
function emitTime(a: StubAssembler): void {
  a.emit(Code.Rdtsc);
  a.emit(Code.Shl_rm64_imm8, RDX, imm(32));
  a.emit(Code.Or_r64_rm64, RAX, RDX);
}

/** Publishes the request: last of all its state, then the doorbell. */
function emitAsk(a: StubAssembler, { doorbellPort }: StubEnvironment): void {
  a.label('ask');
  a.emit(Code.Mov_r32_rm32, EAX, at(RBP, Slot.sequence));
  a.emit(Code.Inc_rm32, EAX);
  a.emit(Code.And_EAX_imm32, EAX, imm(SEQUENCE_LIMIT - 1));
  a.emit(Code.Mov_rm32_r32, at(RBP, Slot.sequence), EAX);
  emitTime(a);
  a.emit(Code.Add_r64_rm64, RAX, at(RBX, Header.limit));
  a.emit(Code.Mov_rm64_r64, at(RBP, Slot.deadline), RAX);
  a.emit(Code.Mov_r32_imm32, R8D, imm(GRACE));
  a.emit(Code.Mov_rm32_imm32, at(RBP, Slot.state), imm(SlotState.request));
  if (doorbellPort === undefined) return;
  a.emit(Code.Mov_r32_imm32, EDX, imm(doorbellPort));
  a.emit(Code.Out_DX_AL, DX, AL);
}

/** Waits for the verdict on this very request; gives up at the deadline, for everybody. */
function emitWait(a: StubAssembler): void {
  a.label('wait');
  a.emit(Code.Pause);
  a.emit(Code.Mov_r32_rm32, ESI, at(RBP, Slot.verdict));
  a.emit(Code.Mov_r32_rm32, ECX, ESI);
  a.emit(Code.Shr_rm32_imm8, ECX, imm(4));
  a.emit(Code.Cmp_r32_rm32, ECX, at(RBP, Slot.sequence));
  a.emit(Code.Je_rel32_64, label('answered'));
  emitTime(a);
  a.emit(Code.Cmp_r64_rm64, RAX, at(RBP, Slot.deadline));
  a.emit(Code.Jb_rel32_64, label('wait'));
  a.emit(Code.Dec_rm32, R8D);
  a.emit(Code.Jne_rel32_64, label('wait'));
  a.emit(Code.Mov_r32_rm32, ECX, at(RBX, Header.enabled));
  a.emit(Code.Mov_rm32_r32, at(RBX, Header.tripped), ECX);
  a.locked(Code.Inc_rm32, at(RBX, Header.timeouts));
  a.emit(Code.Mov_rm32_imm32, at(RBP, Slot.state), imm(SlotState.free));
  a.label('unanswered');
  a.emit(Code.Mov_r32_imm32, R11D, imm(Action.unanswered));
  a.emit(Code.Jmp_rel32_64, label('leave'));
}

/** Takes the verdict (esi), counts what it cost, and gives the slot back. */
function emitVerdict(a: StubAssembler): void {
  a.label('answered');
  a.emit(Code.And_rm32_imm8, ESI, imm(15));
  a.emit(Code.Cmp_rm32_imm8, ESI, imm(Action.call));
  a.emit(Code.Je_rel32_64, label('call'));
  a.emit(Code.Cmp_rm32_imm8, ESI, imm(Action.exchange));
  a.emit(Code.Jae_rel32_64, label('exchange'));
  a.label('decided');
  a.emit(Code.Mov_r32_rm32, R11D, ESI);
  emitTime(a);
  a.emit(Code.Sub_r64_rm64, RAX, at(RBP, Slot.arrived));
  a.emit(Code.Mov_r32_rm32, ECX, at(RBP, Slot.stub));
  a.emit(Code.Shl_rm32_imm8, ECX, imm(Math.log2(COST_SIZE)));
  a.locked(Code.Inc_rm64, indexed(RBX, RCX, 1, Header.costs));
  a.locked(Code.Add_rm64_r64, indexed(RBX, RCX, 1, Header.costs + 8), RAX);
  a.emit(Code.Mov_r64_rm64, RAX, at(RBP, Slot.value));
  a.emit(Code.Mov_rm32_imm32, at(RBP, Slot.state), imm(SlotState.free));
}

function emitLeave(a: StubAssembler, { forceSig }: StubEnvironment): void {
  a.label('leave');
  for (const register of SAVED.toReversed()) a.emit(Code.Pop_r64, register);
  a.emit(Code.Cmp_rm32_imm8, R11D, imm(Action.return));
  a.emit(Code.Je_rel32_64, label('return'));
  a.emit(Code.Cmp_rm32_imm8, R11D, imm(Action.kill));
  a.emit(Code.Je_rel32_64, label('kill'));
  a.emit(Code.Retnq);
  a.label('return');
  a.emit(Code.Add_rm64_imm8, RSP, imm(8));
  a.emit(Code.Retnq);
  a.label('kill');
  a.emit(Code.Add_rm64_imm8, RSP, imm(8));
  a.emit(Code.Mov_r32_imm32, EDI, imm(SIGKILL));
  a.emit(Code.Jmp_rel32_64, address(forceSig));
}

/**
 * Calls a kernel function and asks again. The stack is aligned as the ABI wants it. The function is entered by `ret`, as
 * an indirect call may only go to a function that begins with ENDBR64 (Intel SDM vol. 1, 17.3).
 */
function emitCall(a: StubAssembler): void {
  a.label('call');
  for (const [index, register] of ARGUMENTS.entries())
    a.emit(Code.Mov_r64_rm64, register, at(RBP, Slot.callArguments + 8 * index));
  a.emit(Code.Mov_r64_rm64, RAX, at(RBP, Slot.function));
  a.emit(Code.Call_rel32_64, label('enter'));
  a.label('called');
  a.emit(Code.Mov_rm64_r64, at(RBP, Slot.result), RAX);
  a.emit(Code.Inc_rm32, at(RBP, Slot.calls));
  a.emit(Code.Jmp_rel32_64, label('ask'));
  a.label('enter');
  a.emit(Code.Push_r64, RAX);
  a.emit(Code.Retnq);
}

/** Changes a leaf entry by {@link emitLeafRoutines}'s `exchangeLeaf`; then asks again, or leaves the function. */
function emitExchange(a: StubAssembler): void {
  a.label('exchange');
  a.emit(Code.Push_r64, RSI);
  a.emit(Code.Push_r64, RSI);
  for (const [index, register] of [RDI, RSI, RDX].entries())
    a.emit(Code.Mov_r64_rm64, register, at(RBP, Slot.callArguments + 8 * index));
  a.emit(Code.Call_rel32_64, label('exchangeLeaf'));
  a.emit(Code.Pop_r64, RSI);
  a.emit(Code.Pop_r64, RSI);
  a.emit(Code.Cmp_rm32_imm8, ESI, imm(Action.exchange));
  a.emit(Code.Je_rel32_64, label('called'));
  a.emit(Code.Mov_r32_imm32, ESI, imm(Action.return));
  a.emit(Code.Jmp_rel32_64, label('decided'));
}

import { Code, Register } from 'iced-x86';
import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { Debugger, DebugStop, RegisterChanges } from '../../machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import type { RegisterName } from '../../x86/registers.ts';
import { address, imm, type Stub, StubAssembler } from './stub-assembler.ts';
import { writeText } from './text-writer.ts';

/**
 * Functions that every guest enters soon, idle or not: the timer interrupt's. Interrupts are off and no lock is held
 * there, so that what is called must be fit for interrupt context.
 */
const ENTRY_POINTS = ['hrtimer_interrupt', 'update_process_times', 'tick_handle_periodic'];
/** How long the guest may take to get to one of them, in milliseconds. */
const ARRIVAL_LIMIT = 5000;
/** Arguments in order (System V ABI for x86-64, 3.2.3): as many as anything called here has. */
const ARGUMENTS = [Register.RDI, Register.RSI];
/** What a function may change (System V ABI for x86-64, 3.2.1). */
const { RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11 } = Register;
const CALLER_SAVED = [RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11];
const RESTORED = [
  'rax',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'rsp',
  'rip',
] as const satisfies readonly RegisterName[];
/** Room for the code of one call. */
export const CALL_STUB_SIZE = 256;

/** What a call needs. */
export interface GuestCallContext {
  /** Of a machine that stands still, and on which nobody else waits for stops. */
  readonly debug: Debugger;
  readonly kernel: Kernel;
  readonly memory: WritablePhysicalMemory;
}

/**
 * Calls a function of the guest's kernel from a timer interrupt, and gives what it returns. The machine stands still
 * again on return.
 *
 * The call is made by code that is written at `place`, which puts everything back and goes on with the interrupt by
 * itself: an engine that dies in the middle leaves nothing half done. A breakpoint takes the result out of it.
 * @throws TargetError where the guest takes no timer interrupt within five seconds
 */
export async function callInInterrupt(
  { debug, kernel }: GuestCallContext,
  place: GuestVirtualAddress,
  target: GuestVirtualAddress,
  values: readonly bigint[],
): Promise<bigint> {
  const stop = await arrival(debug, [...kernel.symbols.findMany(ENTRY_POINTS).values()]);
  const stub = callStub(place, target, values, gva(stop.registers.get('rip')));
  await writeText(debug, kernel.memory, place, stub.bytes);
  const returned = stub.addressOf('returned');
  await debug.insertBreakpoint(returned);
  try {
    return await call(debug, stop, place, returned);
  } finally {
    await debug.removeBreakpoint(returned);
  }
}

/** Entered in the state of a function's entry, and left to that function's entry in the same state. */
function callStub(
  place: GuestVirtualAddress,
  target: bigint,
  values: readonly bigint[],
  entry: bigint,
): Stub {
  const a = new StubAssembler();
  for (const register of CALLER_SAVED) a.emit(Code.Push_r64, register);
  for (const [index, register] of ARGUMENTS.entries())
    a.emit(Code.Mov_r64_imm64, register, imm(values[index] ?? 0n));
  a.emit(Code.Call_rel32_64, address(target));
  a.label('returned');
  for (const register of CALLER_SAVED.toReversed()) a.emit(Code.Pop_r64, register);
  a.emit(Code.Jmp_rel32_64, address(entry));
  return a.assemble(place);
}

/** Waits until a vCPU enters one of the functions; no breakpoint is left on them. */
async function arrival(debug: Debugger, points: readonly GuestVirtualAddress[]): Promise<DebugStop> {
  const overdue = setTimeout(() => debug.interrupt().catch(() => {}), ARRIVAL_LIMIT);
  try {
    for (const point of points) await debug.insertBreakpoint(point);
    debug.resume();
    const stop = await debug.nextStop();
    if (!points.some((point) => point === stop.registers.get('rip')))
      throw new TargetError('the guest took no timer interrupt within five seconds');
    return stop;
  } finally {
    clearTimeout(overdue);
    for (const point of points) await debug.removeBreakpoint(point);
  }
}

async function call(debug: Debugger, stop: DebugStop, place: bigint, returned: bigint): Promise<bigint> {
  debug.resume(stop.vcpu, { rip: place });
  for (;;) {
    const next = await debug.nextStop();
    if (next.registers.get('rip') === returned) {
      const before: RegisterChanges = {};
      for (const name of RESTORED) before[name] = stop.registers.get(name);
      await debug.writeRegisters(next.vcpu, before);
      return next.registers.get('rax');
    }
    debug.resume();
  }
}

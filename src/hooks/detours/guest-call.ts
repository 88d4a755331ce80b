import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { Debugger, DebugStop, RegisterChanges } from '../../machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import type { RegisterName } from '../../x86/registers.ts';

/**
 * Functions that every guest enters soon, idle or not: the timer interrupt's. Interrupts are off and no lock is held
 * there, so that what is called must be fit for interrupt context.
 */
const ENTRY_POINTS = ['hrtimer_interrupt', 'update_process_times', 'tick_handle_periodic'];
/** How long the guest may take to get to one of them, in milliseconds. */
const ARRIVAL_LIMIT = 5000;
const ARGUMENT_REGISTERS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
/** What a function may change (System V ABI for x86-64, 3.2.1), and the stack pointer. */
const CALLER_SAVED = [
  ...ARGUMENT_REGISTERS,
  'rax',
  'r10',
  'r11',
  'rsp',
] as const satisfies readonly RegisterName[];

/** What a call needs. */
export interface GuestCallContext {
  /** Of a machine that stands still, and on which nobody else waits for stops. */
  readonly debug: Debugger;
  readonly kernel: Kernel;
  readonly memory: WritablePhysicalMemory;
}

/**
 * Calls a function of the guest's kernel from a timer interrupt, by breakpoints, and gives what it returns. The machine
 * stands still again on return.
 * @throws TargetError where the guest takes no timer interrupt within five seconds
 */
export async function callInInterrupt(
  context: GuestCallContext,
  target: GuestVirtualAddress,
  values: readonly bigint[],
): Promise<bigint> {
  const { debug, kernel } = context;
  const points = [...kernel.symbols.findMany(ENTRY_POINTS).values()];
  for (const point of points) await debug.insertBreakpoint(point);
  try {
    const stop = await arrival(debug, points);
    return await call(context, stop, target, values);
  } finally {
    for (const point of points) await debug.removeBreakpoint(point);
  }
}

async function arrival(debug: Debugger, points: readonly bigint[]): Promise<DebugStop> {
  const overdue = setTimeout(() => debug.interrupt().catch(() => {}), ARRIVAL_LIMIT);
  try {
    debug.resume();
    const stop = await debug.nextStop();
    if (!points.includes(stop.registers.get('rip')))
      throw new TargetError('the guest took no timer interrupt within five seconds');
    return stop;
  } finally {
    clearTimeout(overdue);
  }
}

/** The function returns onto the breakpoint; which return that is, is told by the stack pointer. */
async function call(
  { debug, kernel, memory }: GuestCallContext,
  { vcpu, registers }: DebugStop,
  target: GuestVirtualAddress,
  values: readonly bigint[],
): Promise<bigint> {
  const entry = registers.get('rip');
  const stack = registers.get('rsp') - 16n;
  const word = Buffer.alloc(8);
  word.writeBigUInt64LE(entry);
  memory.write(kernel.memory.locateAddress(gva(stack)), word);
  const changes: RegisterChanges = { rip: target, rsp: stack };
  for (const [index, value] of values.entries()) changes[ARGUMENT_REGISTERS[index] ?? 'r9'] = value;
  debug.resume(vcpu, changes);
  for (;;) {
    const stop = await debug.nextStop();
    const returned = stop.registers.get('rip') === entry && stop.registers.get('rsp') === stack + 8n;
    if (returned) {
      const restored: RegisterChanges = {};
      for (const name of CALLER_SAVED) restored[name] = registers.get(name);
      await debug.writeRegisters(stop.vcpu, restored);
      return stop.registers.get('rax');
    }
    if (stop.reason === 'breakpoint') await debug.step(stop.vcpu);
    debug.resume();
  }
}

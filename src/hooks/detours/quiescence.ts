import { UnderwatchError } from '../../errors.ts';
import { currentTask } from '../../linux/current-task.ts';
import type { Kernel } from '../../linux/kernel.ts';
import { listProcesses, listThreads } from '../../linux/task-list.ts';
import type { Debugger } from '../../machine/machine.ts';
import { type GuestVirtualAddress, gva } from '../../memory/address.ts';
import type { Registers } from '../../x86/registers.ts';

/** `THREAD_SIZE` (arch/x86/include/asm/page_64_types.h), without KASAN. */
const STACK_SIZE = 16 * 1024;

/** Bytes of kernel text: `[start, end)`. */
export interface TextRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Says which tasks may be executing in the ranges, or come back to them, while the machine stands still: one whose
 * vCPU is there, or whose kernel stack in use holds an address there. Such an address may also be a leftover in a
 * frame, so the answer errs towards "busy". What no task can be named for is 0.
 */
export async function findOccupants(
  debug: Debugger,
  kernel: Kernel,
  ranges: readonly TextRange[],
): Promise<Set<bigint>> {
  const occupants = new Set<bigint>();
  const running = new Map<bigint, Registers>();
  for (const vcpu of debug.vcpus) {
    const registers = await debug.readRegisters(vcpu);
    const task = currentTask(kernel, registers) ?? 0n;
    if (isIn(ranges, registers.get('rip'))) occupants.add(task);
    running.set(task, registers);
  }
  for (const task of everyThread(kernel)) {
    const stack = stackInUse(kernel, task, running.get(task));
    if (stack !== undefined && holdsAddress(stack, ranges)) occupants.add(task);
  }
  return occupants;
}

function everyThread(kernel: Kernel): Set<GuestVirtualAddress> {
  const threads = new Set<GuestVirtualAddress>();
  for (const process of listProcesses(kernel).tasks) {
    threads.add(process.address);
    for (const thread of listThreads(kernel, process).tasks) threads.add(thread.address);
  }
  return threads;
}

/** What a task has on its kernel stack; nothing where the task is in user mode or its stack cannot be read. */
function stackInUse(kernel: Kernel, task: bigint, registers: Registers | undefined): Buffer | undefined {
  const { stack, thread_sp: saved } = kernel.layout.task_struct;
  if (registers !== undefined && (registers.low('cs') & 3) === 3) return undefined;
  try {
    const base = kernel.memory.readU64(gva(task + BigInt(stack)));
    const end = base + BigInt(STACK_SIZE);
    const top =
      registers?.get('rsp') ??
      (saved === undefined ? base : kernel.memory.readU64(gva(task + BigInt(saved))));
    const from = top >= base && top < end ? top & ~7n : base;
    return Buffer.from(kernel.memory.readBytes(gva(from), Number(end - from)));
  } catch (error) {
    if (error instanceof UnderwatchError) return undefined;
    throw error;
  }
}

/** All kernel text has the same upper word (Documentation/arch/x86/x86_64/mm.rst). */
function holdsAddress(stack: Buffer, ranges: readonly TextRange[]): boolean {
  for (let at = 0; at + 8 <= stack.length; at += 8) {
    if (stack.readUInt32LE(at + 4) !== 0xffff_ffff) continue;
    if (isIn(ranges, stack.readBigUInt64LE(at))) return true;
  }
  return false;
}

function isIn(ranges: readonly TextRange[], address: bigint): boolean {
  return ranges.some(({ start, end }) => address >= start && address < end);
}

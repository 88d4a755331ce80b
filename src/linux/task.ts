import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { Kernel } from './kernel.ts';
import { KernelObject } from './kernel-object.ts';

/** `PF_KTHREAD` of `task_struct.flags` (include/linux/sched.h): a thread of the kernel itself. */
const PF_KTHREAD = 0x0020_0000;
/** `TASK_IDLE`: uninterruptible, and not counted as load. */
const TASK_IDLE = 0x402;
/** `TASK_REPORT`: the states that `/proc` tells apart, each a bit. */
const TASK_REPORT = 0x7f;
/** Letters of `/proc/PID/stat` (fs/proc/array.c) by the highest bit of the state. */
const STATE_LETTERS = 'RSDTtXZP';

/** One thread, as its `task_struct` describes it. A process is named after its thread group's leader. */
export interface Task {
  /** Of the `task_struct`. */
  readonly address: GuestVirtualAddress;
  /** In the initial PID namespace: what `gettid()` returns there. */
  readonly pid: number;
  /** The process: what `getpid()` returns there. */
  readonly tgid: number;
  /** Up to 15 bytes; every thread may set its own. */
  readonly comm: string;
  /** As `/proc/PID/stat` has it: R, S, D, T, t, X, Z, P or I. */
  readonly state: string;
  readonly isKernelThread: boolean;
  /** Of the `mm_struct`; null for kernel threads and for processes that have exited. */
  readonly mm: GuestVirtualAddress;
  /** Since boot, in nanoseconds. */
  readonly startTime: bigint;
  /** Of the parent's `task_struct`. */
  readonly parent: GuestVirtualAddress;
  /** Of the `cred` that others are checked against. */
  readonly credentials: GuestVirtualAddress;
  /** Of the `signal_struct` that all threads of a process share. */
  readonly signal: GuestVirtualAddress;
}

/** Reads a `task_struct`. Throws a KernelMemoryError or PhysicalMemoryError when it is not there. */
export function readTask(kernel: Pick<Kernel, 'memory' | 'layout'>, address: GuestVirtualAddress): Task {
  const { task_struct: layout, commLength } = kernel.layout;
  const task = new KernelObject(kernel.memory, address);
  const flags = task.u32(layout.flags);
  return {
    address,
    pid: task.u32(layout.pid) | 0,
    tgid: task.u32(layout.tgid) | 0,
    comm: commOf(task.bytes(layout.comm, commLength)),
    state: stateLetter(task.u32(layout.state), task.u32(layout.exit_state)),
    isKernelThread: (flags & PF_KTHREAD) !== 0,
    mm: task.pointer(layout.mm),
    startTime: task.u64(layout.start_boottime ?? layout.start_time),
    parent: task.pointer(layout.real_parent),
    credentials: task.pointer(layout.cred),
    signal: task.pointer(layout.signal),
  };
}

/** Whether a task has user memory: no thread of the kernel, and not exited. */
export function hasUserMemory({ isKernelThread, mm }: Pick<Task, 'isKernelThread' | 'mm'>): boolean {
  return !isKernelThread && mm !== gva(0n);
}

/** The alternate signal stack of a thread (`sigaltstack(2)`); undefined when it has none. */
export function readSignalStack(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  task: GuestVirtualAddress,
): { readonly start: GuestVirtualAddress; readonly size: bigint } | undefined {
  const { task_struct: layout } = kernel.layout;
  const object = new KernelObject(kernel.memory, task);
  const size = object.u64(layout.sas_ss_size);
  return size === 0n ? undefined : { start: object.pointer(layout.sas_ss_sp), size };
}

/** The thread-group identifier of a task's parent, as `/proc/PID/stat` has it; 0 for none. */
export function parentPid(kernel: Pick<Kernel, 'memory' | 'layout'>, task: Task): number {
  if (task.parent === gva(0n)) return 0;
  return new KernelObject(kernel.memory, task.parent).u32(kernel.layout.task_struct.tgid) | 0;
}

function commOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('utf8');
}

function stateLetter(state: number, exitState: number): string {
  if ((state & TASK_IDLE) === TASK_IDLE) return 'I';
  const reported = (state | exitState) & TASK_REPORT;
  return STATE_LETTERS.charAt(32 - Math.clz32(reported));
}

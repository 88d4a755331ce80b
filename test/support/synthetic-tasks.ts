import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import type { SyntheticKernel } from './synthetic-kernel.ts';

/** A task that a test makes. */
export interface WrittenTask {
  readonly pid: number;
  readonly comm: string;
  readonly mm?: GuestVirtualAddress;
}

/** The idle task with these processes on its list; the addresses of their leaders. */
export function writeProcesses(
  kernel: SyntheticKernel,
  tasks: readonly WrittenTask[],
): GuestVirtualAddress[] {
  const { tasks: link } = kernel.layout.task_struct;
  const idle = writeTask(kernel, { pid: 0, comm: 'swapper/0' });
  kernel.symbols.set('init_task', idle);
  const leaders = tasks.map((task) => writeTask(kernel, task));
  linkCircle(
    kernel,
    [idle, ...leaders].map((task) => gva(task + BigInt(link))),
  );
  return leaders;
}

/** Makes these tasks the threads of a process; their addresses. */
export function writeThreads(
  kernel: SyntheticKernel,
  leader: GuestVirtualAddress,
  tasks: readonly WrittenTask[],
): GuestVirtualAddress[] {
  const { task_struct, signal_struct } = kernel.layout;
  const signal = kernel.allocate(signal_struct.size);
  kernel.put(leader, task_struct.signal, signal);
  const threads = [leader, ...tasks.map((task) => writeTask(kernel, task))];
  const links = threads.map((thread) => gva(thread + BigInt(task_struct.thread_node)));
  linkCircle(kernel, [gva(signal + BigInt(signal_struct.thread_head)), ...links]);
  return threads;
}

function writeTask(kernel: SyntheticKernel, task: WrittenTask): GuestVirtualAddress {
  const { task_struct: layout } = kernel.layout;
  const address = kernel.allocate(layout.size);
  kernel.put(address, layout.pid, BigInt(task.pid));
  kernel.put(address, layout.tgid, BigInt(task.pid));
  kernel.putText(address, layout.comm, task.comm);
  kernel.put(address, layout.mm, task.mm ?? 0n);
  kernel.put(address, layout.state, 1n);
  kernel.put(address, layout.start_boottime ?? layout.start_time, 5_000_000_000n);
  return address;
}

function linkCircle(kernel: SyntheticKernel, links: readonly GuestVirtualAddress[]): void {
  const { list_head } = kernel.layout;
  links.forEach((link, index) => {
    kernel.put(link, list_head.next, links[(index + 1) % links.length] ?? 0n);
    kernel.put(link, list_head.prev, links.at(index - 1) ?? 0n);
  });
}

import { TargetError } from '../../src/errors.ts';
import { BreakpointTraps } from '../../src/hooks/breakpoints/breakpoint-traps.ts';
import type { HookedKernel, TrapSite } from '../../src/hooks/trap.ts';
import { KernelMemory } from '../../src/linux/kernel-memory.ts';
import type { MockDebugger } from '../../src/machine/mock/mock-debugger.ts';
import { MockMachine, type MockOptions } from '../../src/machine/mock/mock-machine.ts';
import { type GuestVirtualAddress, gva } from '../../src/memory/address.ts';
import { PageTables } from '../../src/x86/page-tables.ts';

const BASE = 0xffff_ffff_8000_0000n;
const SIZE = 0x10_0000;

/** Functions of the mock kernel; all begin with ftrace's NOP but `plain`. */
export const FUNCTIONS = {
  first: gva(BASE + 0x1000n),
  second: gva(BASE + 0x1100n),
  plain: gva(BASE + 0x1200n),
  force_sig: gva(BASE + 0x1300n),
  flush_tlb_all: gva(BASE + 0x1400n),
  __x64_sys_read: gva(BASE + 0x1500n),
  __x64_sys_write: gva(BASE + 0x1600n),
} as const;

export const FTRACE_NOP = [0x0f, 0x1f, 0x44, 0x00, 0x00];
export const RETURN_ADDRESS = gva(BASE + 0x2222n);
const STACKS = BASE + 0x8000n;

/** A mock machine with a kernel of a few functions, and the traps of its debugger. */
export interface HookedMachine {
  readonly machine: MockMachine;
  readonly debugger: MockDebugger;
  readonly kernel: HookedKernel;
  readonly traps: BreakpointTraps;
  readonly problems: string[];
}

export async function hookedMachine(options: MockOptions = {}): Promise<HookedMachine> {
  const machine = new MockMachine(options);
  machine.memory.map(0, SIZE);
  for (const [name, address] of Object.entries(FUNCTIONS))
    machine.memory.write(
      physical(address),
      Uint8Array.from(name === 'plain' ? [0x55, 0x48, 0x89, 0xe5] : FTRACE_NOP),
    );
  const kernel = hookedKernel(machine);
  const problems: string[] = [];
  const debug = await machine.debug();
  const report = (where: string, error: unknown) => problems.push(`${where}: ${(error as Error).message}`);
  const traps = new BreakpointTraps({ debugger: debug, kernel, memory: machine.memory, report });
  return { machine, debugger: debug, kernel, traps, problems };
}

function hookedKernel(machine: MockMachine): HookedKernel {
  const image = { virtualStart: gva(BASE), physicalStart: 0, size: SIZE };
  const table = new Map<string, GuestVirtualAddress>(Object.entries(FUNCTIONS));
  return {
    memory: new KernelMemory(machine.memory, new PageTables(machine.memory, 0xf_0000, 4), image),
    symbols: {
      require: (name) => {
        const address = table.get(name);
        if (address === undefined) throw new TargetError(`the kernel has no symbol ${name}`);
        return address;
      },
      findMany: (names) => new Map([...table].filter(([name]) => names.includes(name))),
    },
  };
}

/** Guest-physical address of an address in the mock kernel. */
export function physical(address: bigint): number {
  return Number(address - BASE);
}

export function site(symbol: keyof typeof FUNCTIONS): TrapSite {
  return { symbol, address: FUNCTIONS[symbol] };
}

/** A stack pointer of one of the mock's tasks, with a return address where it points. */
export function stackOf(machine: MockMachine, task: number): bigint {
  const stack = STACKS + BigInt(task) * 0x1000n + 0x808n;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(RETURN_ADDRESS);
  machine.memory.write(physical(stack), bytes);
  return stack;
}

/** Waits until the traps have done all that they can without another stop. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

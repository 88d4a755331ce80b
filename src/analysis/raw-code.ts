import { Registers } from '../x86/registers.ts';
import {
  BytesSnapshot,
  layered,
  type MemorySnapshot,
  PAGE_SIZE,
  ZeroSnapshot,
} from './emulator/memory/snapshot.ts';
import { USER_CS, USER_DS, USER32_CS } from './emulator/registers.ts';
import type { SessionInput } from './session.ts';

/** Where things lie in the process that raw code is put into: below 4 GiB, so that a switch to 32-bit mode works. */
interface Layout {
  readonly code: number;
  readonly stackEnd: number;
  readonly thread: number;
  readonly vdso: number;
}

const LAYOUT_64: Layout = {
  code: 0x40_0000,
  stackEnd: 0x7fff_ffff_f000,
  thread: 0x7f00_0800_0000,
  vdso: 0x7fff_f7fc_0000,
};
const LAYOUT_32: Layout = {
  code: 0xf7d0_0000,
  stackEnd: 0xffff_e000,
  thread: 0xf7e0_0000,
  vdso: 0xf7fc_0000,
};

const STACK_BYTES = 0x10_0000;
/** Above the stack pointer: arguments, environment, and what a caller would have pushed. */
const ABOVE = 0x2000;

/** `int 0x80; ret`: the simplest form of `__kernel_vsyscall`, which i386 code reaches through `gs:[0x10]`. */
const KERNEL_VSYSCALL = Uint8Array.of(0xcd, 0x80, 0xc3);
const VSYSCALL_SLOT = 0x10;

/**
 * The state in which bytes that nothing else is known about are run: registers zero, a zeroed stack, a thread
 * block, and on i386 the way into the kernel that the vDSO offers.
 */
export function rawCodeInput(
  code: Uint8Array,
  bits: 32 | 64,
): Pick<SessionInput, 'bits' | 'registers' | 'snapshot' | 'stack'> {
  const layout = bits === 64 ? LAYOUT_64 : LAYOUT_32;
  const registers = new Registers();
  registers.set('rip', BigInt(layout.code));
  registers.set('rsp', BigInt(layout.stackEnd - ABOVE));
  registers.set('eflags', 0x202n);
  registers.set('cs', BigInt(bits === 64 ? USER_CS : USER32_CS));
  registers.set('ss', BigInt(USER_DS));
  registers.set(bits === 64 ? 'fs_base' : 'gs_base', BigInt(layout.thread));
  const snapshot = layered(new BytesSnapshot(layout.code, code), bits === 64 ? PROCESS_64 : PROCESS_32);
  const stack = { start: BigInt(layout.stackEnd - STACK_BYTES), end: BigInt(layout.stackEnd) };
  return { bits, registers, snapshot, stack };
}

/** All of the process but the code. */
function processSnapshot(layout: Layout, bits: 32 | 64): MemorySnapshot {
  return layered(
    new ZeroSnapshot(layout.stackEnd - STACK_BYTES, layout.stackEnd),
    new BytesSnapshot(layout.thread, threadBlock(layout, bits)),
    new BytesSnapshot(layout.vdso, KERNEL_VSYSCALL),
  );
}

/** The first word points to the block itself; on i386 the fifth is where the kernel is entered. */
function threadBlock(layout: Layout, bits: 32 | 64): Uint8Array {
  const block = new Uint8Array(PAGE_SIZE);
  const view = new DataView(block.buffer);
  if (bits === 64) view.setBigUint64(0, BigInt(layout.thread), true);
  else view.setUint32(0, layout.thread, true);
  if (bits === 32) view.setUint32(VSYSCALL_SLOT, layout.vdso, true);
  return block;
}

const PROCESS_64 = processSnapshot(LAYOUT_64, 64);
const PROCESS_32 = processSnapshot(LAYOUT_32, 32);

import type { Abi } from './call.ts';
import { I386_RUNS, X32_RUNS, X64_RUNS } from './numbers.ts';

function byNumber(runs: readonly (readonly [number, string])[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const [first, text] of runs) {
    text.split(/\s+/).forEach((name, index) => {
      if (name !== '-') names.set(first + index, name);
    });
  }
  return names;
}

const X64 = byNumber(X64_RUNS);
const I386 = byNumber(I386_RUNS);
const X32_OWN = byNumber(X32_RUNS);
const X32_OWN_NAMES = new Set(X32_OWN.values());
/** The 64-bit number of a call that x32 numbers differently is no call of x32. */
const X32 = new Map([...[...X64].filter(([, name]) => !X32_OWN_NAMES.has(name)), ...X32_OWN]);
const TABLES: Readonly<Record<Abi, ReadonlyMap<number, string>>> = { x64: X64, i386: I386, x32: X32 };

/** Bit 30 of the number marks a call of the x32 ABI (arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT). */
export const X32_BIT = 0x4000_0000;

/** The name of a system call; undefined where the kernel would answer ENOSYS. */
export function systemCallName(abi: Abi, number: number): string | undefined {
  return TABLES[abi].get(number);
}

/** The number of a system call by its name. */
export function systemCallNumber(abi: Abi, name: string): number | undefined {
  for (const [number, candidate] of TABLES[abi]) if (candidate === name) return number;
  return undefined;
}

import type { KernelMemory } from '../../linux/kernel-memory.ts';
import type { GuestVirtualAddress } from '../../memory/address.ts';
import { MAX_INSTRUCTION, skipLength } from '../../x86/instruction.ts';

/**
 * How a function begins: with instructions that do nothing, over which the CPU can be put (the place that ftrace
 * patches, arch/x86/kernel/ftrace.c; ENDBR64 before it where the kernel uses indirect-branch tracking), or not.
 */
export class Prologue {
  readonly #address: GuestVirtualAddress;
  readonly #idle: Uint8Array;

  /** Reads the function's first bytes, which no breakpoint may have changed yet. */
  constructor(memory: KernelMemory, address: GuestVirtualAddress) {
    const bytes = memory.readBytes(address, 2 * MAX_INSTRUCTION);
    this.#address = address;
    this.#idle = bytes.slice(0, skipLength(bytes));
  }

  /**
   * Bytes to skip, or 0 where the first instruction has to be executed. The guest may have put a call in the NOP's
   * place since (ftrace, live patching), which must not be skipped. The first byte is not compared: under KVM the
   * breakpoint is there.
   */
  length(memory: KernelMemory): number {
    const { length } = this.#idle;
    const now = memory.readBytes(this.#address, length);
    return now.every((byte, index) => index === 0 || byte === this.#idle[index]) ? length : 0;
  }
}

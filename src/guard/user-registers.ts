import { TargetError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import { KernelObject } from '../linux/kernel-object.ts';
import { type GuestVirtualAddress, gva } from '../memory/address.ts';

/** Members of `struct pt_regs` by the registers that they keep (arch/x86/include/asm/ptrace.h). */
const MEMBERS = {
  rax: 'ax',
  rbx: 'bx',
  rcx: 'cx',
  rdx: 'dx',
  rsi: 'si',
  rdi: 'di',
  rbp: 'bp',
  rsp: 'sp',
  r8: 'r8',
  r9: 'r9',
  r10: 'r10',
  r11: 'r11',
  r12: 'r12',
  r13: 'r13',
  r14: 'r14',
  r15: 'r15',
  rip: 'ip',
  eflags: 'flags',
} as const;

/** A register that user mode uses. */
export type UserRegister = keyof typeof MEMBERS;

/** `__USER_CS` and `__USER32_CS` (arch/x86/include/asm/segment.h). */
const USER_CS = 0x33;
const USER32_CS = 0x23;
/** Bytes between `pt_regs` and the top of a kernel stack (TOP_OF_KERNEL_STACK_PADDING): with FRED, or without. */
const PADDINGS = [0, 16];
/** THREAD_SIZE where the kernel's types do not tell (arch/x86/include/asm/page_64_types.h). */
const USUAL_STACK_SIZE = 16_384;

/** Reads the user-mode registers that the kernel saves when it is entered (`struct pt_regs`). */
export class UserRegisters {
  readonly #kernel: Kernel;
  readonly #offsets = new Map<UserRegister, number>();
  readonly #cs: number;
  readonly #size: number;
  readonly #stackSize: number;

  /** @throws TargetError where the kernel's types lack `pt_regs` or a member of it. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const offset = (member: string): number => {
      const found = kernel.types.member('pt_regs', member);
      if (found === undefined) throw new TargetError(`the kernel's struct pt_regs has no member ${member}`);
      return found.offset;
    };
    for (const [register, member] of Object.entries(MEMBERS))
      this.#offsets.set(register as UserRegister, offset(member));
    this.#cs = offset('cs');
    this.#size = kernel.types.struct('pt_regs')?.size ?? 0;
    this.#stackSize = kernel.types.struct('thread_union')?.size ?? USUAL_STACK_SIZE;
  }

  /** All registers saved at the address of a `pt_regs`. */
  read(address: GuestVirtualAddress): Map<UserRegister, bigint> {
    const saved = this.#kernel.memory.readBytes(address, this.#size);
    const view = new DataView(saved.buffer, saved.byteOffset);
    return new Map([...this.#offsets].map(([name, at]) => [name, view.getBigUint64(at, true)]));
  }

  /** One register of those. */
  readOne(address: GuestVirtualAddress, register: UserRegister): bigint {
    return this.#kernel.memory.readU64(gva(address + BigInt(this.#offsets.get(register) ?? 0)));
  }

  /** Whether the code that was interrupted is 64-bit code. */
  is64Bit(address: GuestVirtualAddress): boolean {
    return this.#codeSegment(address) === USER_CS;
  }

  /**
   * The stack pointer with which a task entered the kernel last, or with which a new one will begin: from the
   * `pt_regs` at the top of its kernel stack (`task_pt_regs`). Undefined where there is none.
   */
  stackPointerOf(task: GuestVirtualAddress): GuestVirtualAddress | undefined {
    const { task_struct } = this.#kernel.layout;
    const stack = new KernelObject(this.#kernel.memory, task).pointer(task_struct.stack);
    for (const padding of PADDINGS) {
      const saved = gva(stack + BigInt(this.#stackSize - padding - this.#size));
      const segment = this.#codeSegment(saved);
      if (segment === USER_CS || segment === USER32_CS) return gva(this.readOne(saved, 'rsp'));
    }
    return undefined;
  }

  /** The lowest 16 bits of the saved code segment: since 6.9 others may use what is above them. */
  #codeSegment(address: GuestVirtualAddress): number {
    return this.#kernel.memory.readU32(gva(address + BigInt(this.#cs))) & 0xffff;
  }
}

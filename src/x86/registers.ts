/** The registers that a hypervisor can name, in the order of QEMU's gdb target description (`i386-64bit.xml`). */
export const REGISTER_NAMES = [
  'rax',
  'rbx',
  'rcx',
  'rdx',
  'rsi',
  'rdi',
  'rbp',
  'rsp',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
  'rip',
  'eflags',
  'cs',
  'ss',
  'ds',
  'es',
  'fs',
  'gs',
  'fs_base',
  'gs_base',
  'k_gs_base',
  'cr0',
  'cr2',
  'cr3',
  'cr4',
  'cr8',
  'efer',
] as const;

/** One register's name. */
export type RegisterName = (typeof REGISTER_NAMES)[number];

const INDEX = new Map<RegisterName, number>(REGISTER_NAMES.map((name, index) => [name, index]));

/** The place of a register in {@link REGISTER_NAMES}. */
export function registerIndex(name: RegisterName): number {
  return INDEX.get(name) ?? 0;
}

/** The registers of one vCPU at one moment: 64 bits each, kept as pairs of 32-bit words. */
export class Registers {
  /** Low word at `2 * index`, high word at `2 * index + 1`, in the order of {@link REGISTER_NAMES}. */
  readonly words = new Uint32Array(2 * REGISTER_NAMES.length);

  get(name: RegisterName): bigint {
    return (BigInt(this.high(name)) << 32n) | BigInt(this.low(name));
  }

  set(name: RegisterName, value: bigint): void {
    const at = 2 * registerIndex(name);
    this.words[at] = Number(value & 0xffff_ffffn);
    this.words[at + 1] = Number((value >> 32n) & 0xffff_ffffn);
  }

  low(name: RegisterName): number {
    return this.words[2 * registerIndex(name)] ?? 0;
  }

  high(name: RegisterName): number {
    return this.words[2 * registerIndex(name) + 1] ?? 0;
  }
}

import type { Alert } from '../alerts/event.ts';
import type { Trap } from '../hooks/trap.ts';
import { KernelObject } from '../linux/kernel-object.ts';
import type { VmaCursor } from '../linux/mm/vma-cursor.ts';
import type { Task } from '../linux/task.ts';
import { UserMemory } from '../linux/user-memory.ts';
import { VmFlag } from '../linux/vma.ts';
import { type GuestVirtualAddress, gva, hex } from '../memory/address.ts';
import { Disassembler } from '../x86/instruction.ts';
import { PAGE_SIZE } from '../x86/page-tables.ts';
import type { PageWalk } from '../x86/page-walk.ts';
import { PTE_DIRTY, PTE_HIGH_SAVED_DIRTY, PTE_WRITABLE } from '../x86/pte.ts';
import { Registers } from '../x86/registers.ts';
import type { EvidenceVma, ExecutionEvidence, UserThread } from './evidence.ts';
import type { GuardState } from './guard-state.ts';
import { GuestSnapshot } from './guest-snapshot.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { rangeOf } from './thread-stacks.ts';

/** Code that is read from the faulting address on, in bytes; the next page may be among it. */
const CODE_LENGTH = 256;
/** What an alert shows of it. */
const SHOWN_BYTES = 64;
const SHOWN_INSTRUCTIONS = 8;

/** The first use of the decoder costs tens of milliseconds, which no guest should have to wait. */
export function warmUpDisassembler(): void {
  using disassembler = new Disassembler();
  for (let round = 0; round < 50; round++)
    disassembler.disassemble(Uint8Array.of(0x48, 0x8d, 0x35, 1, 0, 0, 0, 0x0f, 0x05), gva(0x1000n), 2);
}

/** Collects what the checks and the alert need, while the guest stands still. */
export class EvidenceGatherer {
  readonly #state: GuardState;
  readonly #page = new Uint8Array(PAGE_SIZE);

  constructor(state: GuardState) {
    this.#state = state;
  }

  /** @throws UnderwatchError where the guest is changing what has to be read. */
  gather(space: ProtectedSpace, task: Task, trap: Trap, vma: VmaCursor, walk: PageWalk): ExecutionEvidence {
    const { registers } = trap;
    const userMemory = new UserMemory(this.#state.kernel, space.mm);
    const address = gva(registers.get('rdx'));
    const saved = gva(registers.get('rdi'));
    const stackPointer = gva(this.#state.userRegisters.readOne(saved, 'rsp'));
    return {
      address,
      stackPointer,
      vma: this.#describeVma(space, vma),
      stacks: space.stacks.known(task.address, stackPointer),
      page: {
        writable: (walk.entryLow & PTE_WRITABLE) !== 0,
        written: this.#wasWritten(walk),
      },
      thread: this.#threadOf(trap, userMemory),
      code: readCode(userMemory, address),
    };
  }

  /** The parts of an alert that tell where and what. */
  describe(
    { address, vma, code }: ExecutionEvidence,
    { registers }: Trap,
  ): Pick<Alert, 'address' | 'vma' | 'registers' | 'code'> {
    const saved = gva(registers.get('rdi'));
    const shown = code.subarray(0, SHOWN_BYTES);
    const values = [...this.#state.userRegisters.read(saved)];
    return {
      address: hex(address),
      vma: { start: hex(vma.start), end: hex(vma.end), perms: vma.perms, kind: vma.kind },
      registers: Object.fromEntries(values.map(([name, value]) => [name, hex(value)])),
      code: {
        address: hex(address),
        bytes: toHexadecimal(shown),
        instructions: this.#disassemble(shown, address, this.#state.userRegisters.is64Bit(saved)),
      },
    };
  }

  #describeVma(space: ProtectedSpace, vma: VmaCursor): EvidenceVma {
    const writable = (vma.flagsLow & VmFlag.write) !== 0;
    const tracked = space.vmas.findByPage(vma.startPage);
    return {
      ...rangeOf(vma),
      perms: permissions(vma.flagsLow),
      kind: this.#kindOf(space, vma),
      writable,
      wasWritable: writable || (tracked?.wasWritable ?? false),
    };
  }

  #kindOf(space: ProtectedSpace, vma: VmaCursor): EvidenceVma['kind'] {
    if (space.stacks.isMainStack(vma)) return 'stack';
    const { memory, layout } = this.#state.kernel;
    const mm = new KernelObject(memory, space.mm);
    const { start, end } = rangeOf(vma);
    const heap = start < mm.u64(layout.mm_struct.brk) && end > mm.u64(layout.mm_struct.start_brk);
    return heap ? 'heap' : 'anonymous';
  }

  /** Anonymous memory begins as zeros: another byte in it was written, whatever became of the entry's dirty bit. */
  #wasWritten(walk: PageWalk): boolean {
    if ((walk.entryLow & PTE_DIRTY) !== 0 || (walk.entryHigh & PTE_HIGH_SAVED_DIRTY) !== 0) return true;
    this.#state.memory.read(walk.physical - (walk.physical % PAGE_SIZE), this.#page);
    return this.#page.some((byte) => byte !== 0);
  }

  /** In the kernel, FS still has the user's base; SWAPGS has put that of GS away (Intel SDM vol. 2B, SWAPGS). */
  #threadOf(trap: Trap, userMemory: UserMemory): UserThread {
    const saved = gva(trap.registers.get('rdi'));
    const registers = new Registers();
    for (const [name, value] of this.#state.userRegisters.read(saved)) registers.set(name, value);
    registers.set('fs_base', trap.registers.get('fs_base'));
    registers.set('gs_base', trap.registers.get('k_gs_base'));
    const bits = this.#state.userRegisters.is64Bit(saved) ? 64 : 32;
    return { bits, registers, snapshot: new GuestSnapshot(userMemory) };
  }

  #disassemble(code: Uint8Array, address: GuestVirtualAddress, wide: boolean): Alert['code']['instructions'] {
    using disassembler = new Disassembler(wide ? 64 : 32);
    const instructions = disassembler.disassemble(code, address, SHOWN_INSTRUCTIONS);
    return instructions.map(({ address: at, bytes, text }) => ({
      address: hex(at),
      bytes: toHexadecimal(bytes),
      text,
    }));
  }
}

function readCode(userMemory: UserMemory, address: GuestVirtualAddress): Uint8Array {
  const code = new Uint8Array(CODE_LENGTH);
  return code.subarray(0, userMemory.read(address, code));
}

function permissions(flags: number): string {
  const letter = (flag: number, set: string, clear = '-') => ((flags & flag) !== 0 ? set : clear);
  return (
    letter(VmFlag.read, 'r') +
    letter(VmFlag.write, 'w') +
    letter(VmFlag.exec, 'x') +
    letter(VmFlag.shared, 's', 'p')
  );
}

function toHexadecimal(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

import type { DetourHandler } from '../../src/hooks/detours/answers.ts';
import { MARK_BIT } from '../../src/hooks/detours/armed-pages.ts';
import { DetourTraps } from '../../src/hooks/detours/detour-traps.ts';
import { type OpenedTraps, openTraps } from '../../src/hooks/open-traps.ts';
import { CONTINUE, KILL, RETURN, type TrapSite } from '../../src/hooks/trap.ts';
import { currentTask } from '../../src/linux/current-task.ts';
import { findKernel } from '../../src/linux/find-kernel.ts';
import type { Kernel } from '../../src/linux/kernel.ts';
import { readTask, type Task } from '../../src/linux/task.ts';
import { UserMemory } from '../../src/linux/user-memory.ts';
import type { LiveMachine, Machine } from '../../src/machine/machine.ts';
import { attachQemu } from '../../src/machine/qemu/attach.ts';
import { type GuestVirtualAddress, gva, gvaOfWords, highWord, lowWord } from '../../src/memory/address.ts';
import { PageWalk } from '../../src/x86/page-walk.ts';
import type { Registers } from '../../src/x86/registers.ts';

const NO_EXECUTE = 1n << 63n;
const MARK = 1n << BigInt(MARK_BIT);
const KIND = 0xfn;

/** What is done about code in anonymous memory of a program, by its name; every other program is left alone. */
export type Programs = Readonly<Record<string, 'kill' | 'allow'>>;

/** QEMU's options for a doorbell on a socket. */
export function doorbellOptions(socket: string): string[] {
  return [
    '-chardev',
    `socket,id=bell,path=${socket},server=on,wait=off`,
    '-device',
    'isa-debugcon,iobase=0x5e9,chardev=bell',
  ];
}

/** Everything up to the transport: attached, the kernel found, what an engine that died left put back. */
export class DetourEngine implements AsyncDisposable {
  readonly traps: DetourTraps;
  readonly kernel: Kernel;
  readonly recovered: string;
  readonly #machine: Machine;
  readonly #opened: OpenedTraps;

  private constructor(machine: Machine, opened: OpenedTraps, kernel: Kernel, traps: DetourTraps) {
    this.#machine = machine;
    this.#opened = opened;
    this.kernel = kernel;
    this.traps = traps;
    this.recovered = opened.recovery.outcome;
  }

  static async attach(
    target: string,
    journalFolder: string,
    options: { readonly report?: (where: string, error: unknown) => void } = {},
  ): Promise<DetourEngine> {
    const machine = await attachQemu(target);
    const live = liveOf(machine);
    const kernel = findKernel(machine.memory, { vcpus: await live.readVcpus() });
    const report = options.report ?? ((where, error) => console.error(where, error));
    const opened = await openTraps({
      machine: target,
      live,
      kernel,
      transport: 'auto',
      journalFolder,
      report,
    });
    if (!(opened.traps instanceof DetourTraps)) throw new Error(opened.refusal);
    return new DetourEngine(machine, opened, kernel, opened.traps);
  }

  site(symbol: string): TrapSite {
    return { symbol, address: this.kernel.symbols.require(symbol) };
  }

  /** Writes guest memory as somebody in the guest might. */
  writePhysical(address: number, bytes: Uint8Array): void {
    liveOf(this.#machine).memory.write(address, bytes);
  }

  /** The task that arrived. */
  task(registers: Registers): Task {
    return readTask(this.kernel, currentTask(this.kernel, registers) ?? gva(0n));
  }

  /** Arms and catches anonymous executable memory of some programs, as the guard does. */
  async protect(programs: Programs): Promise<void> {
    const { traps } = this;
    const verdicts = new Map<bigint, 'kill' | 'allow'>();
    await traps.add(this.site('setup_new_exec'), ({ registers }) => {
      const task = this.task(registers);
      const verdict = programs[task.comm];
      if (verdict === undefined) return { kind: 'ignore' };
      verdicts.set(task.mm, verdict);
      traps.addressSpaces.add(task.mm);
      return CONTINUE;
    });
    await traps.add(this.site('exit_mmap'), ({ registers }) => {
      verdicts.delete(registers.get('rdi'));
      traps.addressSpaces.delete(registers.get('rdi'));
      return CONTINUE;
    });
    await traps.add(this.site('wake_up_new_task'), ({ registers }) => {
      const child = readTask(this.kernel, gva(registers.get('rdi')));
      const verdict = verdicts.get(this.task(registers).mm);
      if (verdict === undefined || child.mm === 0n) return CONTINUE;
      verdicts.set(child.mm, verdict);
      traps.addressSpaces.add(child.mm);
      return CONTINUE;
    });
    await traps.add(this.site('vma_set_page_prot'), ({ registers }) => this.#arm(gva(registers.get('rdi'))));
    const caught: DetourHandler = ({ registers }) => {
      const { mm } = this.task(registers);
      const entry = this.#entry(mm, gva(registers.get('rdx')));
      if (entry === undefined || (entry & NO_EXECUTE) === 0n) return RETURN;
      if ((entry & MARK) === 0n) return CONTINUE;
      if (verdicts.get(mm) === 'kill') return KILL;
      return {
        kind: 'exchange',
        address: gva(registers.get('rdx')),
        expected: entry,
        value: entry & ~NO_EXECUTE,
      };
    };
    await traps.add(this.site('__bad_area_nosemaphore'), caught);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened[Symbol.asyncDispose]();
    await this.#machine[Symbol.asyncDispose]();
  }

  #arm(vma: GuestVirtualAddress) {
    const { memory, layout, symbols } = this.kernel;
    const read = (offset: number) => memory.readU64(gva(vma + BigInt(offset)));
    const { vm_file, vm_ops, vm_flags, vm_page_prot } = layout.vm_area_struct;
    if (read(vm_file) !== 0n || read(vm_ops) !== 0n) return CONTINUE;
    const kind = read(vm_flags) & KIND;
    const normal = memory.readU64(gva(symbols.require('protection_map') + 8n * kind));
    const armed = Buffer.alloc(8);
    armed.writeBigUInt64LE(normal | NO_EXECUTE | MARK);
    liveOf(this.#machine).memory.write(memory.locateAddress(gva(vma + BigInt(vm_page_prot))), armed);
    return RETURN;
  }

  #entry(mm: GuestVirtualAddress, address: GuestVirtualAddress): bigint | undefined {
    const walk = new PageWalk();
    new UserMemory(this.kernel, mm).pageTables.walk(highWord(address), lowWord(address), walk);
    return walk.outcome === 'mapped' ? gvaOfWords(walk.entryHigh, walk.entryLow) : undefined;
  }
}

function liveOf(machine: Machine): LiveMachine {
  if (machine.live === undefined) throw new TypeError('the machine does not run');
  return machine.live;
}

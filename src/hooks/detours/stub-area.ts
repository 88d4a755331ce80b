import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { Debugger } from '../../machine/machine.ts';
import { gva } from '../../memory/address.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import type { Hook } from './hook.ts';
import { MAX_STUBS } from './mailbox-layout.ts';
import { callPlace, type Gap } from './placement.ts';
import type { Prologue } from './prologue.ts';
import type { Stub, StubAssembler } from './stub-assembler.ts';
import type { StubEnvironment } from './stubs/environment.ts';
import { hookStub, type SharedRoutines } from './stubs/hook-stub.ts';
import { sharedRoutines } from './stubs/shared-routines.ts';
import { writeText } from './text-writer.ts';

/** What functions are aligned to, so that code of two stubs shares no line of the instruction cache. */
const ALIGNMENT = 16n;

/** At the start of the gap: the table of address spaces, and that of programs. */
export const DATA_PAGES = 2;

/** The pages of the gap behind the tables: all stubs' code. Stubs are added, and vanish all together. */
export class StubArea {
  readonly #kernel: Kernel;
  readonly #environment: StubEnvironment;
  readonly #end: bigint;
  #next: bigint;
  #count = 0;
  #shared: SharedRoutines | undefined;

  constructor(kernel: Kernel, environment: StubEnvironment, gap: Gap) {
    this.#kernel = kernel;
    this.#environment = environment;
    this.#next = gap.start + BigInt(DATA_PAGES * PAGE_SIZE);
    this.#end = callPlace(gap);
  }

  /** Writes the routines that all stubs share, before any stub. */
  async writeShared(debug: Debugger): Promise<void> {
    const stub = await this.#write(debug, sharedRoutines(this.#environment));
    this.#shared = { request: stub.addressOf('request'), releaseLeaf: stub.addressOf('releaseLeaf') };
  }

  /** Writes the stub of one hook; nothing leads there yet. @throws TargetError where there is no room */
  async writeHook(debug: Debugger, hook: Hook, prologue: Prologue): Promise<{ number: number; stub: Stub }> {
    if (this.#shared === undefined)
      throw new TargetError('the routines that all stubs share are not written');
    if (this.#count >= MAX_STUBS) throw new TargetError(`there are ${MAX_STUBS} stubs already`);
    const number = this.#count;
    const code = hookStub(number, hook, prologue, this.#environment, this.#shared);
    const stub = await this.#write(debug, code);
    this.#count++;
    return { number, stub };
  }

  async #write(debug: Debugger, code: StubAssembler): Promise<Stub> {
    const stub = code.assemble(gva(this.#next));
    const end = this.#next + BigInt(stub.bytes.length);
    if (end > this.#end) throw new TargetError('there is no room for more stubs');
    await writeText(debug, this.#kernel.memory, stub.base, stub.bytes);
    this.#next = ((end + ALIGNMENT - 1n) / ALIGNMENT) * ALIGNMENT;
    return stub;
  }
}

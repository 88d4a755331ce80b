import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { Debugger } from '../../machine/machine.ts';
import { gva, hex } from '../../memory/address.ts';
import type { Journal, JournalPatch } from '../journal/journal.ts';
import type { TrapSite } from '../trap.ts';
import type { DetourHandler } from './answers.ts';
import type { Foothold } from './foothold.ts';
import type { DetourSite } from './hook.ts';
import { type FailureMode, hookFor } from './hooks-table.ts';
import { findPrologue, jumpTo, type Prologue } from './prologue.ts';
import { findOccupants } from './quiescence.ts';
import type { ServedSite } from './request-server.ts';
import { TextRecords } from './text-records.ts';
import { writeText } from './text-writer.ts';
import { restoreText } from './withdrawal.ts';

/** One function that has, or had, a detour. */
interface Detour extends ServedSite {
  /** Of its stub. */
  readonly number: number;
  readonly patch: JournalPatch;
}

/**
 * The functions that have detours. Each change of text is in the journal before it is made. A stub stays when its
 * function gets its own text back, and is used again when that function gets a detour again.
 */
export class DetouredFunctions {
  readonly #kernel: Kernel;
  readonly #foothold: Foothold;
  readonly #journal: Journal;
  readonly #failureMode: FailureMode;
  readonly #records: TextRecords;
  readonly #byAddress = new Map<bigint, Detour>();
  readonly #byNumber: Detour[] = [];

  constructor(kernel: Kernel, foothold: Foothold, journal: Journal, failureMode: FailureMode) {
    this.#kernel = kernel;
    this.#foothold = foothold;
    this.#journal = journal;
    this.#failureMode = failureMode;
    this.#records = new TextRecords(kernel);
  }

  /** Who answers for a stub; the number may be any. */
  ofStub(number: number): ServedSite | undefined {
    return this.#byNumber[number];
  }

  /** Every function that ever had a detour, with the number of its stub. */
  *[Symbol.iterator](): Generator<{ readonly number: number; readonly site: TrapSite }> {
    yield* this.#byNumber;
  }

  /**
   * Gives a function a detour. False where somebody is inside the instructions that are to be replaced.
   * @throws TargetError where it has one, or cannot have one
   */
  async tryAdd(debug: Debugger, site: DetourSite, handler: DetourHandler): Promise<boolean> {
    const { record } = this.#foothold;
    const known = this.#byAddress.get(site.address);
    if (known !== undefined && record.patches.includes(known.patch))
      throw new TargetError(`there is a trap on ${site.symbol} already`);
    const prologue = this.#prologue(site);
    const replaced = { start: prologue.site + 1n, end: prologue.site + BigInt(prologue.displaced.length) };
    if ((await findOccupants(debug, this.#kernel, [replaced])).size > 0) return false;
    const { number, patch } = known ?? (await this.#writeStub(debug, site, prologue));
    const detour: Detour = { number, patch, site, handler };
    this.#byAddress.set(site.address, detour);
    this.#byNumber[number] = detour;
    record.patches.push(patch);
    await this.#journal.write(record);
    await writeText(debug, this.#kernel.memory, prologue.site, Buffer.from(patch.patched, 'hex'));
    return true;
  }

  /** Gives a function its own text back, if it has a detour. */
  async remove(debug: Debugger, site: TrapSite): Promise<void> {
    const patch = this.#byAddress.get(site.address)?.patch;
    if (patch !== undefined && this.#foothold.record.patches.includes(patch))
      await this.#restore(debug, [patch]);
  }

  /** Gives every function its own text back. */
  async removeAll(debug: Debugger): Promise<void> {
    await this.#restore(debug, this.#foothold.record.patches);
  }

  /** Functions whose detour is not what was written: somebody in the guest has changed it since. */
  changed(): string[] {
    const { memory } = this.#kernel;
    const isChanged = ({ address, patched }: JournalPatch) =>
      Buffer.from(memory.readBytes(gva(BigInt(address)), patched.length / 2)).toString('hex') !== patched;
    return this.#foothold.record.patches.filter(isChanged).map(({ symbol }) => symbol);
  }

  #prologue(site: DetourSite): Prologue {
    const { memory, symbols } = this.#kernel;
    try {
      const prologue = findPrologue(memory, symbols, site.address);
      this.#records.requireNone(prologue.site, prologue.displaced.length);
      return prologue;
    } catch (error) {
      if (!(error instanceof TargetError)) throw error;
      throw new TargetError(`${site.symbol} cannot have a detour: ${error.message}`, { cause: error });
    }
  }

  async #writeStub(
    debug: Debugger,
    site: DetourSite,
    prologue: Prologue,
  ): Promise<Pick<Detour, 'number' | 'patch'>> {
    const hook = site.hook ?? hookFor(site.symbol, this.#kernel, this.#failureMode);
    const { number, stub } = await this.#foothold.area.writeHook(debug, hook, prologue);
    const patch = {
      symbol: site.symbol,
      address: hex(prologue.site),
      original: Buffer.from(prologue.displaced).toString('hex'),
      patched: Buffer.from(jumpTo(prologue, stub.base)).toString('hex'),
    };
    return { number, patch };
  }

  async #restore(debug: Debugger, patches: readonly JournalPatch[]): Promise<void> {
    const { record } = this.#foothold;
    await restoreText(debug, this.#kernel.memory, patches);
    record.patches = record.patches.filter((patch) => !patches.includes(patch));
    await this.#journal.write(record);
  }
}

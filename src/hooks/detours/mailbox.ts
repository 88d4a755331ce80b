import type { Kernel } from '../../linux/kernel.ts';
import { type GuestVirtualAddress, gva, gvaOfWords } from '../../memory/address.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { type RegisterName, Registers } from '../../x86/registers.ts';
import {
  type Action,
  COST_SIZE,
  Header,
  MAILBOX_SIZE,
  SEQUENCE_LIMIT,
  SLOT_COUNT,
  SLOT_SIZE,
  SLOTS_OFFSET,
  Slot,
  SlotState,
} from './mailbox-layout.ts';

const ARGUMENT_REGISTERS = [
  'rdi',
  'rsi',
  'rdx',
  'rcx',
  'r8',
  'r9',
] as const satisfies readonly RegisterName[];
const MAX_GENERATION = 0xffff_fffe;

/** One arrival that waits for a verdict. All of it comes from the guest and may be anything. */
export interface Request {
  readonly slot: number;
  readonly sequence: number;
  readonly stub: number;
  /** How many kernel functions were called for this arrival. */
  readonly calls: number;
  readonly task: GuestVirtualAddress;
  /** What the filter looked up: an address space, or a number for a program; 0 for none. */
  readonly key: bigint;
  /** The CPU that arrived, from 0 on. */
  readonly cpu: number;
  /** Arguments and stack pointer at the function's entry; all others are 0. */
  readonly registers: Registers;
  /** What the last called function returned. */
  readonly result: bigint;
}

/** What the guest's side has counted. */
export interface MailboxCounters {
  readonly timeouts: number;
  readonly dropped: number;
  readonly released: number;
}

/** What one stub's requests cost the guest. */
export interface StubCost {
  readonly requests: number;
  /** Ticks of the time-stamp counter between arrival and verdict, all requests together. */
  readonly ticks: bigint;
}

/** A verdict, with what it needs. */
export interface Verdict {
  readonly action: (typeof Action)[keyof typeof Action];
  readonly value?: bigint;
  readonly function?: bigint;
  readonly arguments?: readonly bigint[];
}

/** The engine's side of the mailbox. What it reads there is the guest's word; what it writes, the guest only reads. */
export class Mailbox {
  readonly #memory: WritablePhysicalMemory;
  readonly #physical: number;
  /** The latest sequence number answered in each slot, so that no request is answered twice. */
  readonly #answered = new Int32Array(SLOT_COUNT).fill(-1);
  readonly #word = Buffer.alloc(8);
  #generation = 0;

  /** The mailbox lies at that guest-physical address, closed; its content is kept. */
  constructor(memory: WritablePhysicalMemory, physical: number) {
    this.#memory = memory;
    this.#physical = physical;
  }

  /** Makes it as new. Only while no stub can reach it. */
  clear(): void {
    this.#memory.write(this.#physical, new Uint8Array(MAILBOX_SIZE));
  }

  /** Lets stubs ask from now on, and wait for that many ticks of the time-stamp counter. */
  open(limit: bigint): void {
    this.#write64(Header.limit, limit);
    this.#generation = (this.#generation % MAX_GENERATION) + 1;
    this.#write32(Header.enabled, this.#generation);
  }

  /** Stubs no longer ask. Those that wait already are still answered. */
  close(): void {
    this.#write32(Header.enabled, 0);
  }

  /** Whether a request was not answered in time, so that none has been made since. */
  get hasTripped(): boolean {
    return this.#generation !== 0 && this.#read32(Header.tripped) === this.#generation;
  }

  get counters(): MailboxCounters {
    return {
      timeouts: this.#read32(Header.timeouts),
      dropped: this.#read32(Header.dropped),
      released: this.#read32(Header.released),
    };
  }

  /** What a stub's requests cost the guest so far. */
  cost(stub: number): StubCost {
    const at = Header.costs + COST_SIZE * stub;
    return { requests: this.#read32(at), ticks: this.#read64(at + 8) };
  }

  /** Whether some stub holds a slot. */
  get inUse(): boolean {
    for (let slot = 0; slot < SLOT_COUNT; slot++) if (this.isHeld(slot)) return true;
    return false;
  }

  isHeld(slot: number): boolean {
    return this.#read32(slotAt(slot) + Slot.state) !== SlotState.free;
  }

  /** The first request that waits in a slot from `from` on, or undefined. */
  next(from: number): Request | undefined {
    for (let slot = from; slot < SLOT_COUNT; slot++) {
      const at = slotAt(slot);
      if (this.#read32(at + Slot.state) !== SlotState.request) continue;
      const sequence = this.#read32(at + Slot.sequence);
      if (sequence >= SEQUENCE_LIMIT || sequence === this.#answered[slot]) continue;
      return this.#request(slot, sequence);
    }
    return undefined;
  }

  /** Answers a request; one that has timed out meanwhile ignores it. The verdict is written last. */
  answer({ slot, sequence }: Request, verdict: Verdict): void {
    const at = slotAt(slot);
    this.#write64(at + Slot.value, verdict.value ?? 0n);
    if (verdict.function !== undefined) this.#write64(at + Slot.function, verdict.function);
    for (const [index, value] of (verdict.arguments ?? []).entries())
      this.#write64(at + Slot.callArguments + 8 * index, value);
    this.#answered[slot] = sequence;
    this.#write32(at + Slot.verdict, sequence * 16 + verdict.action);
  }

  #request(slot: number, sequence: number): Request {
    const at = slotAt(slot);
    const registers = new Registers();
    for (const [index, name] of ARGUMENT_REGISTERS.entries())
      registers.set(name, this.#read64(at + Slot.arguments + 8 * index));
    registers.set('rsp', this.#read64(at + Slot.stack));
    return {
      slot,
      sequence,
      stub: this.#read32(at + Slot.stub),
      calls: this.#read32(at + Slot.calls),
      task: gva(this.#read64(at + Slot.task)),
      key: this.#read64(at + Slot.key),
      cpu: this.#read32(at + Slot.cpu),
      registers,
      result: this.#read64(at + Slot.result),
    };
  }

  #read32(offset: number): number {
    return this.#memory.u32(this.#physical + offset);
  }

  #read64(offset: number): bigint {
    const at = this.#physical + offset;
    return gvaOfWords(this.#memory.u32(at + 4), this.#memory.u32(at));
  }

  #write32(offset: number, value: number): void {
    this.#word.writeUInt32LE(value);
    this.#memory.write(this.#physical + offset, this.#word.subarray(0, 4));
  }

  #write64(offset: number, value: bigint): void {
    this.#word.writeBigUInt64LE(BigInt.asUintN(64, value));
    this.#memory.write(this.#physical + offset, this.#word);
  }
}

function slotAt(slot: number): number {
  return SLOTS_OFFSET + SLOT_SIZE * slot;
}

/** Ticks of the guest's time-stamp counter in that many milliseconds; undefined where the kernel does not use it. */
export function ticksOf(kernel: Kernel, milliseconds: number): bigint | undefined {
  const frequency = kernel.symbols.find('tsc_khz');
  const perMillisecond = frequency === undefined ? 0 : kernel.memory.readU32(frequency);
  return perMillisecond === 0 ? undefined : BigInt(perMillisecond) * BigInt(Math.round(milliseconds));
}

import { UnderwatchError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import { KernelObject } from '../linux/kernel-object.ts';
import { findVma, vmaTrees } from '../linux/mm/find.ts';
import { VmaCursor } from '../linux/mm/vma-cursor.ts';
import { readSignalStack } from '../linux/task.ts';
import { VmFlag } from '../linux/vma.ts';
import { type GuestVirtualAddress, gva, gvaOfWords, highWord, lowWord } from '../memory/address.ts';
import type { AddressRange, KnownStacks } from './evidence.ts';

/** Threads that are remembered in one address space; one that was forgotten counts as uncertain. */
const MAX_THREADS = 65_536;
/** Pieces into which a main stack may have been split by mprotect. */
const MAX_PIECES = 1024;

interface ThreadStack {
  /** The thread may be on the process's main stack. */
  readonly main: boolean;
  readonly own: AddressRange | undefined;
  readonly uncertain: boolean;
}

const ON_MAIN: ThreadStack = { main: true, own: undefined, uncertain: false };
const UNKNOWN: ThreadStack = { main: false, own: undefined, uncertain: true };

/**
 * Where the threads of one address space have their stacks. The kernel knows the main stack only; a thread's is
 * the VMA that held its stack pointer when it was first run, or when the guard found it.
 */
export class ThreadStacks {
  readonly #kernel: Kernel;
  readonly #mm: GuestVirtualAddress;
  readonly #threads = new Map<bigint, ThreadStack>();
  readonly #cursor = new VmaCursor();

  constructor(kernel: Kernel, mm: GuestVirtualAddress) {
    this.#kernel = kernel;
    this.#mm = mm;
  }

  /** A program that was just loaded runs on the main stack. */
  loaded(task: GuestVirtualAddress): void {
    this.#threads.clear();
    this.#remember(task, ON_MAIN);
  }

  /** A thread that has not run yet, with the stack pointer that it will begin with. */
  created(task: GuestVirtualAddress, stackPointer: GuestVirtualAddress): void {
    this.#remember(task, this.#tryStackAt(stackPointer) ?? UNKNOWN);
  }

  /** A thread that was running before the guard came; `leader` of its process or not. */
  adopted(task: GuestVirtualAddress, stackPointer: GuestVirtualAddress | undefined, leader: boolean): void {
    const found = stackPointer === undefined ? undefined : this.#tryStackAt(stackPointer);
    if (leader && (found === undefined || found.main)) this.#remember(task, ON_MAIN);
    else this.#remember(task, { main: leader, own: found?.own, uncertain: true });
  }

  /** The stacks that a thread may be on now; `stackPointer` says how far down the main one may reach. */
  known(task: GuestVirtualAddress, stackPointer: GuestVirtualAddress): KnownStacks {
    const thread = this.#threads.get(task) ?? UNKNOWN;
    const alternate = this.#alternate(task);
    const main = thread.main ? this.#mainStack(stackPointer) : undefined;
    return { main, own: thread.own, alternate, uncertain: thread.uncertain };
  }

  /** Whether a VMA is a piece of the main stack. */
  isMainStack(vma: VmaCursor): boolean {
    const startStack = this.#startStack();
    if (contains(vma, startStack)) return true;
    return (vma.flagsLow & VmFlag.growsDown) !== 0;
  }

  #remember(task: GuestVirtualAddress, stack: ThreadStack): void {
    this.#threads.delete(task);
    if (this.#threads.size >= MAX_THREADS) {
      const [oldest] = this.#threads.keys();
      if (oldest !== undefined) this.#threads.delete(oldest);
    }
    this.#threads.set(task, stack);
  }

  #tryStackAt(stackPointer: GuestVirtualAddress): ThreadStack | undefined {
    try {
      return this.#stackAt(stackPointer);
    } catch (error) {
      if (error instanceof UnderwatchError) return undefined;
      throw error;
    }
  }

  /** Which stack a stack pointer is on; it may point right behind an empty one. */
  #stackAt(stackPointer: GuestVirtualAddress): ThreadStack | undefined {
    if (this.#onMainStack(stackPointer)) return ON_MAIN;
    const below = gva(stackPointer - 1n);
    const cursor = this.#cursor;
    if (!findVma(this.#kernel, this.#mm, highWord(below), lowWord(below), cursor)) return undefined;
    return { main: false, own: rangeOf(cursor), uncertain: false };
  }

  #mainStack(stackPointer: GuestVirtualAddress): AddressRange | undefined {
    if (this.#onMainStack(stackPointer)) {
      const stack = rangeOf(this.#cursor);
      const grown = stackPointer <= stack.start;
      return grown ? { start: gva(stackPointer - 1n), end: stack.end } : stack;
    }
    const startStack = this.#startStack();
    const found = findVma(this.#kernel, this.#mm, highWord(startStack), lowWord(startStack), this.#cursor);
    return found ? rangeOf(this.#cursor) : undefined;
  }

  /**
   * Whether a stack pointer is on the main stack, or below it where the kernel would let it grow to. The main stack is
   * what lies together with `mm->start_stack` and grows down: a process may map other memory that does.
   * Leaves the cursor on the lowest VMA above the stack pointer that belongs to it, widened to the stack's end.
   */
  #onMainStack(stackPointer: GuestVirtualAddress): boolean {
    const [tree] = vmaTrees(this.#kernel, this.#mm);
    if (tree === undefined) return false;
    const below = gva(stackPointer - 1n);
    const startStack = this.#startStack();
    const cursor = new VmaCursor();
    if (!tree.seek(Number(below / 4096n), 'forward', cursor)) return false;
    Object.assign(this.#cursor, cursor);
    for (let pieces = 0; pieces < MAX_PIECES && this.isMainStack(cursor); pieces++) {
      this.#cursor.endHigh = cursor.endHigh;
      this.#cursor.endLow = cursor.endLow;
      if (contains(cursor, startStack)) return true;
      const { endPage } = cursor;
      if (!tree.step('forward', cursor) || cursor.startPage !== endPage) return false;
    }
    return false;
  }

  #startStack(): GuestVirtualAddress {
    return new KernelObject(this.#kernel.memory, this.#mm).pointer(this.#kernel.layout.mm_struct.start_stack);
  }

  #alternate(task: GuestVirtualAddress): AddressRange | undefined {
    try {
      const stack = readSignalStack(this.#kernel, task);
      return stack === undefined ? undefined : { start: stack.start, end: gva(stack.start + stack.size) };
    } catch (error) {
      if (error instanceof UnderwatchError) return undefined;
      throw error;
    }
  }
}

function contains(vma: VmaCursor, address: GuestVirtualAddress): boolean {
  const { start, end } = rangeOf(vma);
  return start <= address && address < end;
}

/** The addresses of a VMA. */
export function rangeOf(vma: VmaCursor): AddressRange {
  return { start: gvaOfWords(vma.startHigh, vma.startLow), end: gvaOfWords(vma.endHigh, vma.endLow) };
}

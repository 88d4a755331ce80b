import type { Kernel } from '../linux/kernel.ts';
import { VmaReader } from '../linux/mm/vma-cursor.ts';
import { type GuestVirtualAddress, highWord, lowWord } from '../memory/address.ts';
import { kernelKey } from './kernel-key.ts';
import type { ProcessRule } from './policy.ts';
import { ThreadStacks } from './thread-stacks.ts';
import { VmaTable } from './vma-table.ts';

/** Detections that are remembered as reported in one address space. */
const MAX_REPORTED = 4096;

/** One protected address space (`mm_struct`): of a process, or of several that share it. */
export class ProtectedSpace {
  readonly mm: GuestVirtualAddress;
  readonly key: number;
  readonly rule: ProcessRule;
  readonly tgid: number;
  readonly comm: string;
  readonly vmas = new VmaTable();
  readonly stacks: ThreadStacks;
  readonly reader: VmaReader;
  /** Processes that were killed; their other threads may still arrive at a hook. */
  readonly killed = new Set<number>();
  examined = 0;
  readonly #reported = new Set<string>();

  constructor(
    kernel: Kernel,
    mm: GuestVirtualAddress,
    rule: ProcessRule,
    owner: { readonly tgid: number; readonly comm: string },
  ) {
    this.mm = mm;
    this.key = kernelKey(highWord(mm), lowWord(mm));
    this.rule = rule;
    this.tgid = owner.tgid;
    this.comm = owner.comm;
    this.stacks = new ThreadStacks(kernel, mm);
    this.reader = new VmaReader(kernel, highWord(mm), lowWord(mm));
  }

  /** Whether a detection is new: the same kind in the same VMA is reported once. */
  isNews(detection: string): boolean {
    if (this.#reported.has(detection)) return false;
    if (this.#reported.size >= MAX_REPORTED) this.#reported.clear();
    this.#reported.add(detection);
    return true;
  }
}

/** The protected address spaces, found by the words of a `mm_struct`'s address without allocating. */
export class ProtectedSpaces {
  readonly #byKey = new Map<number, ProtectedSpace>();

  get size(): number {
    return this.#byKey.size;
  }

  [Symbol.iterator](): Iterator<ProtectedSpace> {
    return this.#byKey.values();
  }

  find(high: number, low: number): ProtectedSpace | undefined {
    return this.#byKey.get(kernelKey(high, low));
  }

  findByAddress(mm: GuestVirtualAddress): ProtectedSpace | undefined {
    return this.find(highWord(mm), lowWord(mm));
  }

  add(space: ProtectedSpace): void {
    this.#byKey.set(space.key, space);
  }

  remove(space: ProtectedSpace): void {
    this.#byKey.delete(space.key);
  }
}

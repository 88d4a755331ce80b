import { type GuestVirtualAddress, highWord, lowWord } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';

/** `RWSEM_WRITER_LOCKED` (kernel/locking/rwsem.c): bit 0 of a read-write semaphore's count. */
const WRITER_LOCKED = 1;
/** How long one walk waits for writers in all, in milliseconds: where a stopped guest holds the lock, no longer. */
const PATIENCE = 1000;

/**
 * Whether the guest is changing an address space at this moment: it holds `mm->mmap_lock` for writing while it
 * changes a VMA's limits, flags or file. Where the lock cannot be read, it counts as free.
 */
export class MmapLock {
  readonly #kernel: Pick<Kernel, 'memory' | 'layout'>;
  /** Guest-physical address of the count, or -1. */
  readonly #count: number;
  #patience = PATIENCE;

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, mm: GuestVirtualAddress) {
    const offset = kernel.layout.mm_struct.mmap_lock;
    const at = kernel.memory.tryLocate(highWord(mm), lowWord(mm));
    this.#kernel = kernel;
    this.#count = offset === undefined || at < 0 ? -1 : at + offset;
  }

  get isHeldForWriting(): boolean {
    return this.#count >= 0 && (this.#kernel.memory.physical.u32(this.#count) & WRITER_LOCKED) !== 0;
  }

  /** Lets a writer finish, for a second in the life of this object. */
  waitForWriter(): void {
    if (this.#patience <= 0 || !this.isHeldForWriting) return;
    const start = performance.now();
    while (this.isHeldForWriting && performance.now() - start < this.#patience);
    this.#patience -= performance.now() - start;
  }
}

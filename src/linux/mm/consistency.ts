import { type GuestVirtualAddress, highWord, lowWord } from '../../memory/address.ts';
import type { Kernel } from '../kernel.ts';
import { vmaTrees } from './find.ts';
import { MmapLock } from './mmap-lock.ts';
import { VmaCursor } from './vma-cursor.ts';
import type { VmaTree } from './vma-tree.ts';
import { VmaTreeError } from './vma-tree-error.ts';

/**
 * Tells whether a VMA that was read from a running guest is real: at a moment when nobody changes the address
 * space, the kernel's tree still has it, and it reads the same. Without this, a VMA may be a mixture of what it
 * was and what it became, or one that lived only within a system call, or have been freed.
 */
export class ConsistencyCheck {
  readonly #kernel: Pick<Kernel, 'memory' | 'layout'>;
  readonly #mm: GuestVirtualAddress;
  readonly #lock: MmapLock;
  readonly #tree: VmaTree | undefined;
  readonly #second = new VmaCursor();

  constructor(kernel: Pick<Kernel, 'memory' | 'layout'>, mm: GuestVirtualAddress) {
    this.#kernel = kernel;
    this.#mm = mm;
    this.#lock = new MmapLock(kernel, mm);
    this.#tree = vmaTrees(kernel, mm)[0];
  }

  /** Whether the address space is in use; the VMAs of one that is not are being taken down. */
  get isAlive(): boolean {
    const { memory, layout } = this.#kernel;
    const at = memory.tryLocate(highWord(this.#mm), lowWord(this.#mm));
    return at >= 0 && memory.physical.u32(at + layout.mm_struct.mm_users) !== 0;
  }

  /** Throws a VmaTreeError when the cursor's VMA is not what the guest has now. */
  require(cursor: VmaCursor): void {
    this.#lock.waitForWriter();
    if (!this.isAlive) throw new VmaTreeError('torn', 'mm_struct', highWord(this.#mm), lowWord(this.#mm));
    const second = this.#second;
    const found = this.#tree?.seek(cursor.startPage, 'forward', second) === true;
    const same = found && second.high === cursor.high && second.low === cursor.low && second.equals(cursor);
    if (!same) throw new VmaTreeError('torn', 'vm_area_struct', cursor.high, cursor.low);
  }
}

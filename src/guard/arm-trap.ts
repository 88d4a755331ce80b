import { CONTINUE, RETURN, type Trap, type TrapAnswer } from '../hooks/trap.ts';
import { VmaCursor } from '../linux/mm/vma-cursor.ts';
import { VmFlag } from '../linux/vma.ts';
import type { GuardState } from './guard-state.ts';
import { kernelKey } from './kernel-key.ts';
import type { ProtectedSpace } from './protected-spaces.ts';
import { isSuspicious } from './suspicious.ts';

/**
 * At `vma_set_page_prot(vma)`: the guest has set a VMA's flags and is about to compute its `vm_page_prot`
 * (mm/mmap.c; called for new mappings, mprotect and the stack of a new program, with `mmap_lock` held for
 * writing). Of a suspicious VMA of a protected process the engine computes it, without execution, and the
 * function is left out: the guest then rewrites the present entries and flushes TLBs by that value.
 *
 * By breakpoints every mapping in the guest arrives here, so whatever is not protected must leave soon.
 */
export class ArmTrap {
  readonly #state: GuardState;
  readonly #cursor = new VmaCursor();

  constructor(state: GuardState) {
    this.#state = state;
  }

  handle({ registers }: Trap): TrapAnswer {
    const high = registers.high('rdi');
    const low = registers.low('rdi');
    const space = this.#spaceOf(high, low);
    if (space === undefined || this.#state.stopping) return CONTINUE;
    const vma = this.#cursor;
    space.reader.load(vma, high, low);
    if ((vma.flagsLow & VmFlag.exec) === 0) {
      space.vmas.untrackRange(vma.startPage, vma.endPage);
      return CONTINUE;
    }
    if (!isSuspicious(this.#state.memory, this.#state.kernel.layout, vma)) return CONTINUE;
    this.#state.arming.armProtection(vma);
    const writable = (vma.flagsLow & VmFlag.write) !== 0;
    space.vmas.track(kernelKey(high, low), vma.startPage, vma.endPage, writable);
    this.#state.counters.armed++;
    return RETURN;
  }

  /** The protected address space that a `vm_area_struct` belongs to. Allocates nothing. */
  #spaceOf(high: number, low: number): ProtectedSpace | undefined {
    const { kernel, memory, spaces } = this.#state;
    const vma = kernel.memory.tryLocate(high, low);
    if (vma < 0) return undefined;
    const mm = vma + kernel.layout.vm_area_struct.vm_mm;
    return spaces.find(memory.u32(mm + 4), memory.u32(mm));
  }
}

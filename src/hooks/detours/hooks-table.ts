import type { KernelLayout } from '../../linux/layout.ts';
import type { Hook } from './hook.ts';

/** `VM_EXEC` in the lowest byte of `vm_flags` (include/linux/mm.h). */
const VM_EXEC = 4;
/** A page fault's error code: present, user mode, instruction fetch (Intel SDM vol. 3A 4.7). */
const FETCH_DENIED = 0x15;

/** What becomes of armed pages when nobody answers: they are released, or their process gets its own fault. */
export type FailureMode = 'open' | 'closed';

/**
 * What a detour filters at the functions that the guard knows; anything else is asked about at every arrival. Arguments
 * are the same on every kernel since 5.10.
 */
export function hookFor(symbol: string, layout: KernelLayout, failureMode: FailureMode): Hook {
  const { vm_area_struct: vma } = layout;
  const ask = { kind: 'ask' } as const;
  const current = { kind: 'current' } as const;
  const ofVma = { kind: 'member', argument: 0, offset: vma.vm_mm } as const;
  switch (symbol) {
    case 'vma_set_page_prot':
      return {
        does: ask,
        addressSpace: ofVma,
        tests: [{ kind: 'flag', argument: 0, offset: vma.vm_flags, mask: VM_EXEC }],
      };
    case '__bad_area_nosemaphore':
      return {
        does: { kind: 'catch', address: 2, release: failureMode === 'open' },
        addressSpace: current,
        tests: [{ kind: 'bits', argument: 1, mask: FETCH_DENIED, equals: FETCH_DENIED }],
      };
    case 'perf_event_mmap':
    case 'expand_downwards':
      return { does: ask, addressSpace: ofVma, tests: [] };
    case 'userfaultfd_unmap_complete':
    case 'exit_mmap':
      return { does: ask, addressSpace: { kind: 'argument', argument: 0 }, tests: [] };
    case 'wake_up_new_task':
      return { does: ask, addressSpace: current, tests: [] };
    default:
      return { does: ask, addressSpace: { kind: 'any' }, tests: [] };
  }
}

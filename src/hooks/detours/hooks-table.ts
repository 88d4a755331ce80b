import { TargetError } from '../../errors.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { GuestVirtualAddress } from '../../memory/address.ts';
import type { Hook, ProgramLayout } from './hook.ts';

/** `VM_EXEC` in the lowest byte of `vm_flags` (include/linux/mm.h). */
const VM_EXEC = 4;
/** A page fault's error code: present, user mode, instruction fetch (Intel SDM vol. 3A 4.7). */
const FETCH_DENIED = 0x15;

/** What becomes of armed pages when nobody answers: they are released, or their process gets its own fault. */
export type FailureMode = 'open' | 'closed';

/**
 * What a detour filters at the functions that the guard knows; anything else is asked about at every arrival; what re-arms never asks. Arguments
 * are the same on every kernel since 5.10.
 */
export function hookFor(
  symbol: string,
  kernel: Pick<Kernel, 'layout' | 'symbols' | 'types'>,
  failureMode: FailureMode,
): Hook {
  const { layout, symbols } = kernel;
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
    case 'setup_new_exec':
    case 'finalize_exec':
      return {
        does: ask,
        addressSpace: { kind: 'program', argument: 0, layout: programLayout(kernel) },
        tests: [],
      };
    case 'ptep_set_access_flags':
      return rearm(symbols.require('ptep_clear_flush'));
    case 'pmdp_set_access_flags':
      return rearm(symbols.require('pmdp_invalidate'));
    default:
      return { does: ask, addressSpace: { kind: 'any' }, tests: [] };
  }
}

function rearm(clear: GuestVirtualAddress): Hook {
  return { does: { kind: 'rearm', clear }, addressSpace: { kind: 'any' }, tests: [] };
}

/** @throws TargetError that names a member that the kernel does not have */
function programLayout({ layout, types }: Pick<Kernel, 'layout' | 'types'>): ProgramLayout {
  const offset = (struct: string, path: string) => {
    const member = types.member(struct, path);
    if (member === undefined) throw new TargetError(`the kernel's struct ${struct} has no member ${path}`);
    return member.offset;
  };
  return {
    file: offset('linux_binprm', 'file'),
    filename: offset('linux_binprm', 'filename'),
    mount: layout.file.mnt,
    dentry: layout.file.dentry,
    nameHash: offset('dentry', 'd_name.hash_len'),
  };
}

import { TargetError } from '../errors.ts';
import type { TrapHandler, TrapSite } from '../hooks/trap.ts';
import type { Kernel } from '../linux/kernel.ts';
import { ArmTrap } from './arm-trap.ts';
import { ExecutionTrap } from './execution-trap.ts';
import type { GuardState } from './guard-state.ts';
import { ProcessTraps } from './process-traps.ts';

/** The guest's functions at which the guard listens: compiled as functions of their own on every kernel since 5.10. */
const HOOKS = {
  arm: 'vma_set_page_prot',
  execution: '__bad_area_nosemaphore',
  executed: 'security_bprm_committed_creds',
  created: 'wake_up_new_task',
  exited: 'exit_mmap',
} as const;

/** A hook by what it is for. */
export type HookSites = Readonly<Record<keyof typeof HOOKS, TrapSite>>;

/** Where the hooks are in this kernel. @throws TargetError that names every function that is missing. */
export function findHookSites(kernel: Kernel): HookSites {
  const found = kernel.symbols.findMany([...Object.values(HOOKS), 'force_sig']);
  const missing = [...Object.values(HOOKS), 'force_sig'].filter((symbol) => !found.has(symbol));
  if (missing.length > 0)
    throw new TargetError(
      `the kernel ${kernel.release} cannot be guarded: it has no function ${missing.join(', ')}`,
    );
  const sites: Partial<Record<keyof typeof HOOKS, TrapSite>> = {};
  for (const [role, symbol] of Object.entries(HOOKS) as [keyof typeof HOOKS, string][]) {
    const address = found.get(symbol);
    if (address !== undefined) sites[role] = { symbol, address };
  }
  return sites as HookSites;
}

/** Which part of the guard answers at which site. */
export function hookHandlers(state: GuardState, sites: HookSites): [TrapSite, TrapHandler][] {
  const arm = new ArmTrap(state);
  const execution = new ExecutionTrap(state);
  const processes = new ProcessTraps(state);
  return [
    [sites.arm, (trap) => arm.handle(trap)],
    [sites.execution, (trap) => execution.handle(trap)],
    [sites.executed, (trap) => processes.executed(trap)],
    [sites.created, (trap) => processes.created(trap)],
    [sites.exited, (trap) => processes.exited(trap)],
  ];
}

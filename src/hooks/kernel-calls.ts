import { UnderwatchError } from '../errors.ts';
import {
  CONTINUE,
  type HookedKernel,
  type Trap,
  type TrapAnswer,
  type TrapSite,
  type Traps,
} from './trap.ts';

/**
 * System calls that some process makes soon. Their functions are entered in process context, with interrupts on
 * and no lock held, where most kernel functions may be called.
 */
const SAFE_POINTS = [
  'read',
  'write',
  'close',
  'openat',
  'poll',
  'ppoll',
  'select',
  'pselect6',
  'epoll_wait',
  'futex',
  'nanosleep',
  'clock_nanosleep',
  'wait4',
  'mmap',
  'munmap',
  'rt_sigaction',
  'rt_sigprocmask',
];

/**
 * Calls functions of the guest's own kernel, in the context of whichever process makes a system call next. This
 * is the way to do what only the kernel can, on any accelerator: `flush_tlb_all` reaches every vCPU's TLB by the
 * kernel's own interrupts, which writing registers from outside does not under KVM.
 */
export class KernelCalls {
  readonly #traps: Traps;
  readonly #kernel: HookedKernel;

  constructor(traps: Traps, kernel: HookedKernel) {
    this.#traps = traps;
    this.#kernel = kernel;
  }

  /**
   * Calls a function and gives what it returned; undefined where no process made a system call within the limit
   * (in milliseconds), as in a guest that is idle. The function must be one that may sleep or not, but returns.
   * @throws TargetError where the kernel has no such function; TargetLostError where the machine goes away
   */
  async call(symbol: string, values: readonly bigint[], limit: number): Promise<bigint | undefined> {
    const target = this.#kernel.symbols.require(symbol);
    const sites = this.#safePoints();
    let taken = false;
    let finish: (result: bigint) => void = () => {};
    const result = new Promise<bigint>((resolve) => {
      finish = resolve;
    });
    const handler = (_trap: Trap): TrapAnswer => {
      if (taken) return CONTINUE;
      taken = true;
      const afterwards = (value: bigint): TrapAnswer => {
        finish(value);
        return CONTINUE;
      };
      return { kind: 'call', function: target, arguments: values, afterwards };
    };
    try {
      for (const site of sites) await this.#traps.add(site, handler);
      const inTime = await Promise.race([result, this.#over(), delay(limit)]);
      if (inTime !== undefined || !taken) return inTime;
      return await Promise.race([result, this.#over()]);
    } finally {
      for (const site of sites) await this.#tryRemove(site);
    }
  }

  #safePoints(): TrapSite[] {
    const names = SAFE_POINTS.map((name) => `__x64_sys_${name}`);
    const found = this.#kernel.symbols.findMany(names);
    return [...found].map(([symbol, address]) => ({ symbol, address }));
  }

  async #over(): Promise<undefined> {
    await this.#traps.ended;
    return undefined;
  }

  async #tryRemove(site: TrapSite): Promise<void> {
    try {
      await this.#traps.remove(site);
    } catch (error) {
      // Traps that have ended have no sites any more.
      if (!(error instanceof UnderwatchError)) throw error;
    }
  }
}

function delay(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, undefined));
}

import { TargetError } from '../errors.ts';
import type { Kernel } from '../linux/kernel.ts';
import type { Debugger, LiveMachine } from '../machine/machine.ts';
import { BreakpointTraps } from './breakpoints/breakpoint-traps.ts';
import { DetourTraps, type DetourTrapsOptions } from './detours/detour-traps.ts';
import { type Recovery, recover } from './detours/recover.ts';
import { DoorbellRings, PolledRings, type Rings } from './detours/rings.ts';
import { RunKeeper } from './detours/supervisor/run-keeper.ts';
import { Journal } from './journal/journal.ts';
import type { TrapProblem, Traps } from './trap.ts';

/** What the user may ask for: `auto` is the first of the others, in this order, that the machine allows. */
export type Transport = 'auto' | 'doorbell' | 'poll' | 'breakpoint';

/** How the traps of a machine are opened. */
export interface OpenTrapsOptions extends Pick<DetourTrapsOptions, 'failureMode' | 'onLoss'> {
  /** How the user named the machine. */
  readonly machine: string;
  readonly live: LiveMachine;
  readonly kernel: Kernel;
  readonly transport: Transport;
  /** Where journals are kept. */
  readonly journalFolder: string;
  readonly report: TrapProblem;
}

/** Traps, and all that belongs to them; disposing leaves the machine as it was found. */
export interface OpenedTraps extends AsyncDisposable {
  readonly traps: Traps;
  /** What an engine that died had left in the guest. */
  readonly recovery: Recovery;
  /** Why `auto` had to take breakpoints. */
  readonly refusal: string | undefined;
}

/**
 * Attaches to a machine for traps; it stands still on return, until they are started. What an engine that died
 * left behind is put back first; from here on a supervisor lets the machine run should this engine die.
 * @throws TargetError where the transport that was asked for cannot be had; the machine then runs as before
 */
export async function openTraps(options: OpenTrapsOptions): Promise<OpenedTraps> {
  const { machine, live, kernel, journalFolder } = options;
  const journal = new Journal(journalFolder, machine);
  const keeper = RunKeeper.start(machine);
  try {
    keeper.stopping();
    const debug = await live.debug();
    try {
      const recovery = await recover({ debug, kernel, memory: live.memory }, journal);
      const { traps, refusal } = await choose(options, debug, journal, keeper);
      const dispose = async () => {
        await traps[Symbol.asyncDispose]();
        await keeper[Symbol.asyncDispose]();
      };
      return { traps, recovery, refusal, [Symbol.asyncDispose]: dispose };
    } catch (error) {
      await debug[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
}

async function choose(
  options: OpenTrapsOptions,
  debug: Debugger,
  journal: Journal,
  keeper: RunKeeper,
): Promise<{ traps: Traps; refusal: string | undefined }> {
  const { live, kernel, transport, report } = options;
  const parts = { debugger: debug, kernel, memory: live.memory, report };
  if (transport === 'breakpoint') return { traps: new BreakpointTraps(parts), refusal: undefined };
  const rings = await openRings(live, transport);
  try {
    const traps = await DetourTraps.install({
      ...options,
      ...parts,
      rings,
      journal,
      keeper,
      gone: live.gone,
    });
    return { traps, refusal: undefined };
  } catch (error) {
    rings.stop();
    if (transport !== 'auto' || !(error instanceof TargetError)) throw error;
    return { traps: new BreakpointTraps(parts), refusal: error.message };
  }
}

async function openRings(live: LiveMachine, transport: Transport): Promise<Rings> {
  const device = transport === 'poll' ? undefined : await live.doorbell?.();
  if (device !== undefined) return new DoorbellRings(device);
  if (transport !== 'doorbell') return new PolledRings();
  throw new TargetError(
    'the machine has no doorbell: start QEMU with -chardev socket,id=bell,path=PATH,server=on,wait=off ' +
      '-device isa-debugcon,iobase=0x5e9,chardev=bell',
  );
}

import type { GuestVirtualAddress } from '../memory/address.ts';
import type { PhysicalMemory, WritablePhysicalMemory } from '../memory/physical-memory.ts';
import type { RegisterName, Registers } from '../x86/registers.ts';

/**
 * What a hypervisor, an image or a mock offers. A driver implements only the capabilities that it has: an
 * image has memory; a live guest has all of them. Code that needs one asks for it by presence.
 */
export interface Machine extends AsyncDisposable {
  /** How the user named the target: `qemu:/run/vm/qmp.sock`, or the path of an image. */
  readonly name: string;
  readonly memory: PhysicalMemory;
  readonly live?: LiveMachine;
}

/** What only a running machine offers. */
export interface LiveMachine {
  readonly memory: WritablePhysicalMemory;
  /** What runs the machine: `QEMU 7.2.22 (TCG)`. */
  readonly hypervisor: string;
  /** Reads every vCPU's registers without a debugger and without a noticeable pause. */
  readVcpus(): Promise<readonly VcpuState[]>;
  /** Connects to the port by which the guest can call us; undefined where the machine was started without one. */
  doorbell?(): Promise<Doorbell | undefined>;
  /** Attaches the debugger; the machine stands still on return. Throws a TargetError when there can be none. */
  debug(): Promise<Debugger>;
  /** Settles when the machine goes away; never rejects. */
  readonly gone: Promise<void>;
}

/** An I/O port of the guest; what is written to it reaches us at once, and costs the guest no stop. */
export interface Doorbell extends Disposable {
  readonly port: number;
  /** Calls `listener` when bytes have arrived; what they are does not matter. */
  onRing(listener: () => void): void;
}

/** The registers of one vCPU together with the one that no gdbstub names. */
export interface VcpuState {
  readonly registers: Registers;
  /** Base of the interrupt descriptor table (Intel SDM vol. 3A 6.10). */
  readonly idtBase: GuestVirtualAddress;
}

/** Why the machine stands still. */
export interface DebugStop {
  /** The vCPU that met the breakpoint, from 1 on, as the gdbstub numbers its threads. */
  readonly vcpu: number;
  readonly reason: 'breakpoint' | 'interrupt';
  readonly registers: Registers;
}

/** New values for some registers. */
export type RegisterChanges = Partial<Record<RegisterName, bigint>>;

/**
 * A debugger on a live machine: all vCPUs stop together and go on together. Every method but `interrupt`
 * needs the machine stopped. Disposing takes away every breakpoint and leaves the machine running. A pause by
 * somebody else (`stop` in a monitor) is not a stop: the machine counts as running, and stays paused until they
 * let it go on, also when the debugger is disposed of.
 */
export interface Debugger extends AsyncDisposable {
  /** The vCPUs, by the gdbstub's thread number (from 1 on). */
  readonly vcpus: readonly number[];
  readonly running: boolean;
  /** Stops every vCPU; resolves at once when they are stopped already. */
  interrupt(): Promise<void>;
  /** Applies the changes to that vCPU and lets all run, in one write to the stub. */
  resume(vcpu?: number, changes?: RegisterChanges): void;
  /** The next stop; one waiter at a time. Rejects with a TargetLostError when the machine goes away. */
  nextStop(): Promise<DebugStop>;
  /** Executes one instruction on that vCPU alone. */
  step(vcpu: number): Promise<Registers>;
  readRegisters(vcpu: number): Promise<Registers>;
  writeRegisters(vcpu: number, changes: RegisterChanges): Promise<void>;
  insertBreakpoint(address: GuestVirtualAddress): Promise<void>;
  removeBreakpoint(address: GuestVirtualAddress): Promise<void>;
  /** Writes code through the page tables of that vCPU, so that QEMU forgets what it translated from there. */
  writeCode(vcpu: number, address: GuestVirtualAddress, bytes: Uint8Array): Promise<void>;
  /** Makes every vCPU forget its translations. Under TCG only: see docs/decisions. */
  flushTranslations(): Promise<void>;
}

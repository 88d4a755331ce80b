import { TargetError, TargetLostError, type UnderwatchError } from '../../errors.ts';
import type { GuestVirtualAddress } from '../../memory/address.ts';
import type { Registers } from '../../x86/registers.ts';
import type { Debugger, DebugStop, RegisterChanges } from '../machine.ts';
import { GdbClient } from './gdb-client.ts';
import type { GdbEndpoint } from './gdb-endpoint.ts';
import { GdbStub } from './gdb-stub.ts';
import type { RunControl } from './run-control.ts';
import { SIGNAL_TRAP, type StopReply } from './stop-reply.ts';
import { Waiter } from './waiter.ts';

const CONNECT_TIMEOUT_MS = 5000;
const STOP_TIMEOUT_MS = 15_000;

/**
 * The debugger of a QEMU machine, on its gdbstub.
 *
 * Somebody else may pause the machine too (`stop` in a monitor, an I/O error), or have paused it before we came.
 * Such a machine is *held*: that is not reported as a stop, resuming does not run it, and when whoever paused it
 * lets it go on, the debugger takes it over again.
 */
export class QemuDebugger implements Debugger {
  readonly #endpoint: GdbEndpoint;
  readonly #control: RunControl;
  readonly #stub: GdbStub;
  readonly #breakpoints = new Set<GuestVirtualAddress>();
  readonly #runListener: Disposable;
  #vcpus: readonly number[];
  /** Whether the machine runs as far as the owner of the debugger is concerned; it may be held all the same. */
  #running = false;
  #held: boolean;
  #stopVcpu: number;
  /** A stop that nobody has waited for yet. */
  #unclaimed: DebugStop | undefined;
  #nextStop: Waiter<DebugStop> | undefined;
  #interrupt: Waiter<void> | undefined;
  #step: Waiter<StopReply> | undefined;
  #error: UnderwatchError | undefined;
  #disposal: Promise<void> | undefined;

  private constructor(
    endpoint: GdbEndpoint,
    control: RunControl,
    stub: GdbStub,
    vcpus: readonly number[],
    held: boolean,
  ) {
    this.#endpoint = endpoint;
    this.#control = control;
    this.#stub = stub;
    this.#vcpus = vcpus;
    this.#held = held;
    this.#stopVcpu = vcpus[0] ?? 1;
    stub.client.listen({ stopped: (reply) => this.#stopped(reply), lost: (error) => this.#fail(error) });
    this.#runListener = control.onRun(() => {
      if (this.#held) this.#reclaim().catch((error: UnderwatchError) => this.#fail(error));
    });
  }

  /**
   * Connects to the stub; the machine stands still on return. On failure it is left as it was found.
   * @throws TargetError where the stub cannot be reached, does not answer, or debugs no 64-bit x86
   */
  static async attach(endpoint: GdbEndpoint, control: RunControl): Promise<QemuDebugger> {
    const held = !RUNNABLE.has(await control.state());
    let client: GdbClient | undefined;
    try {
      client = await GdbClient.connect(endpoint.address);
      const stub = await GdbStub.open(client, CONNECT_TIMEOUT_MS);
      return new QemuDebugger(endpoint, control, stub, await stub.vcpus(), held);
    } catch (error) {
      await client?.close();
      await endpoint.release();
      if (!held) await control.run().catch(ignore);
      throw error;
    }
  }

  get vcpus(): readonly number[] {
    return this.#vcpus;
  }

  /** Whether it was disposed of. */
  get detached(): boolean {
    return this.#disposal !== undefined;
  }

  get running(): boolean {
    return this.#running;
  }

  async interrupt(): Promise<void> {
    this.#check();
    if (!this.#running) return;
    if (this.#interrupt === undefined) {
      this.#interrupt = new Waiter(STOP_TIMEOUT_MS, 'the machine did not stop');
      if (this.#held) this.#report('interrupt', this.#stopVcpu);
      else this.#stub.client.interrupt();
    }
    await this.#interrupt.promise;
    await this.#refreshVcpus();
  }

  resume(vcpu: number = this.#stopVcpu, changes: RegisterChanges = {}): void {
    this.#requireStopped();
    const requests = Object.keys(changes).length > 0 ? this.#stub.changeRequests(vcpu, changes) : [];
    this.#unclaimed = undefined;
    this.#running = true;
    this.#stub
      .expectOk(requests, this.#held ? '' : CONTINUE)
      .catch((error: UnderwatchError) => this.#fail(error));
    this.#stub.assumeSelected(undefined);
  }

  nextStop(): Promise<DebugStop> {
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#nextStop !== undefined)
      return Promise.reject(new Error('somebody waits for the next stop already'));
    const unclaimed = this.#unclaimed;
    this.#unclaimed = undefined;
    if (unclaimed !== undefined) return Promise.resolve(unclaimed);
    this.#nextStop = new Waiter();
    return this.#nextStop.promise;
  }

  async step(vcpu: number): Promise<Registers> {
    this.#requireStopped();
    this.#step = new Waiter(STOP_TIMEOUT_MS, 'the machine did not end a step');
    this.#stub.client.send(`vCont;s:p1.${vcpu.toString(16)}`);
    const reply = await this.#step.promise;
    this.#stub.assumeSelected(reply.signal === SIGNAL_TRAP ? reply.vcpu : undefined);
    return this.#stub.readRegisters(vcpu);
  }

  async readRegisters(vcpu: number): Promise<Registers> {
    this.#requireStopped();
    return this.#stub.readRegisters(vcpu);
  }

  async writeRegisters(vcpu: number, changes: RegisterChanges): Promise<void> {
    this.#requireStopped();
    await this.#stub.writeRegisters(vcpu, changes);
  }

  async insertBreakpoint(address: GuestVirtualAddress): Promise<void> {
    this.#requireStopped();
    if (this.#breakpoints.has(address)) return;
    this.#breakpoints.add(address);
    await this.#stub.insertBreakpoint(address);
  }

  async removeBreakpoint(address: GuestVirtualAddress): Promise<void> {
    this.#requireStopped();
    if (!this.#breakpoints.has(address)) return;
    await this.#stub.removeBreakpoints([address]);
    this.#breakpoints.delete(address);
  }

  async writeCode(vcpu: number, address: GuestVirtualAddress, bytes: Uint8Array): Promise<void> {
    this.#requireStopped();
    await this.#stub.writeMemory(vcpu, address, bytes);
  }

  async flushTranslations(): Promise<void> {
    this.#requireStopped();
    for (const vcpu of this.#vcpus) await this.#stub.flushTranslations(vcpu);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#detach();
    return this.#disposal;
  }

  #stopped(reply: StopReply): void {
    if (reply.kind === 'ended') this.#fail(new TargetLostError('the machine has ended'));
    else if (this.#step?.pending) this.#step.resolve(reply);
    else if (this.#running && !this.#held) this.#halted(reply);
  }

  #halted(reply: StopReply): void {
    const trapped = reply.signal === SIGNAL_TRAP;
    if (!trapped && this.#interrupt === undefined) {
      this.#held = true;
      return;
    }
    const vcpu = reply.vcpu ?? this.#stopVcpu;
    this.#stub.assumeSelected(trapped ? reply.vcpu : undefined);
    this.#report(trapped ? 'breakpoint' : 'interrupt', vcpu);
  }

  /** Hands a stop to whoever waits for it, once its registers are read. */
  #report(reason: DebugStop['reason'], vcpu: number): void {
    this.#running = false;
    this.#stopVcpu = vcpu;
    const done = this.#stub.readRegisters(vcpu).then((registers) => {
      const stop = { vcpu, reason, registers };
      if (this.#nextStop === undefined) this.#unclaimed = stop;
      else this.#nextStop.resolve(stop);
      this.#nextStop = undefined;
      this.#interrupt?.resolve();
      this.#interrupt = undefined;
    });
    done.catch((error: UnderwatchError) => this.#fail(error));
  }

  /**
   * Takes the machine over again from whoever had paused it and now runs it. A breakpoint that was met in between
   * is not lost: the vCPU still stands before it.
   */
  async #reclaim(): Promise<void> {
    if ((await this.#control.state()) !== 'running' || this.#disposal !== undefined) return;
    await this.#control.pause();
    this.#stub.assumeSelected(undefined);
    await this.#stub.readRegisters(this.#stopVcpu);
    this.#held = false;
    if (this.#running) this.#stub.client.send(CONTINUE);
  }

  /** vCPUs may be plugged in while the machine runs; QEMU sets breakpoints on those only that it has at the time. */
  async #refreshVcpus(): Promise<void> {
    const vcpus = await this.#stub.vcpus();
    const grown = vcpus.some((vcpu) => !this.#vcpus.includes(vcpu));
    this.#vcpus = vcpus;
    if (!grown) return;
    await this.#stub.removeBreakpoints(this.#breakpoints);
    for (const address of this.#breakpoints) await this.#stub.insertBreakpoint(address);
  }

  async #detach(): Promise<void> {
    this.#runListener[Symbol.dispose]();
    this.#nextStop?.reject(new TargetLostError('the debugger is detached'));
    this.#nextStop = undefined;
    try {
      await this.interrupt();
      await this.#stub.removeBreakpoints(this.#breakpoints);
    } catch {
      await this.#removeBreakpointsAfresh().catch(ignore);
    }
    this.#error ??= new TargetLostError('the debugger is detached');
    if (!this.#held) await this.#control.run().catch(() => this.#stub.client.send(CONTINUE));
    await this.#stub.client.close();
    await this.#endpoint.release();
  }

  /** For a connection that failed while QEMU lives: breakpoints outlive a connection, but not the next one's start. */
  async #removeBreakpointsAfresh(): Promise<void> {
    await this.#stub.client.close();
    const client = await GdbClient.connect(this.#endpoint.address);
    await GdbStub.open(client, CONNECT_TIMEOUT_MS).finally(() => client.close());
  }

  #check(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  #requireStopped(): void {
    this.#check();
    if (this.#running) throw new TargetError('the machine runs: interrupt it first');
  }

  #fail(error: UnderwatchError): void {
    this.#error ??= error;
    this.#running = false;
    for (const waiter of [this.#nextStop, this.#interrupt, this.#step]) waiter?.reject(this.#error);
    this.#nextStop = undefined;
    this.#interrupt = undefined;
  }
}

const CONTINUE = 'vCont;c';
/** Run states out of which the machine is to be running once the debugger is gone; `debug`: one left it behind. */
const RUNNABLE: ReadonlySet<string> = new Set(['running', 'debug']);

function ignore(): void {}

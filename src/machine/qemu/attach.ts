import * as v from 'valibot';
import { TargetError } from '../../errors.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import type { Debugger, Doorbell, LiveMachine, Machine, VcpuState } from '../machine.ts';
import { connectDebugConsole } from './debug-console.ts';
import { QemuDebugger } from './debugger.ts';
import { findGdbEndpoint } from './gdb-endpoint.ts';
import { parseMonitorRegisters } from './monitor-registers.ts';
import { type PeerCredentials, peerCredentials } from './peer-credentials.ts';
import { QmpClient } from './qmp.ts';
import { openRam } from './ram.ts';
import { qmpRunControl } from './run-control.ts';
import { checkSocket, parseQemuTarget, type QemuTarget } from './target-name.ts';

export { QEMU_SCHEME } from './target-name.ts';

/**
 * Attaches to a running QEMU: `qemu:PATH`, PATH its QMP socket, nothing else needed; `?gdb=SOCKET` and `&ram=FILE`
 * overrule what QEMU says of itself. The machine goes on running; disposing leaves it as it was found.
 * @throws UsageError for a name that is none, or names no socket; TargetError where the socket is no QMP socket,
 *   is in use, or belongs to a QEMU whose RAM cannot be read
 */
export async function attachQemu(name: string): Promise<Machine> {
  const target = parseQemuTarget(name);
  checkSocket(target.qmp);
  const qmp = await QmpClient.connect(target.qmp);
  try {
    const peer = qmp.fd === undefined ? undefined : peerCredentials(qmp.fd);
    const memory = await openRam(qmp, peer?.pid, target.ram);
    const { major, minor, micro } = qmp.version;
    const hypervisor = `QEMU ${major}.${minor}.${micro} (${await accelerator(qmp)})`;
    return new QemuMachine(name, target, qmp, peer, memory, hypervisor);
  } catch (error) {
    await qmp[Symbol.asyncDispose]();
    throw error;
  }
}

class QemuMachine implements Machine, LiveMachine {
  readonly name: string;
  readonly memory: WritablePhysicalMemory;
  readonly hypervisor: string;
  readonly gone: Promise<void>;
  readonly #target: QemuTarget;
  readonly #qmp: QmpClient;
  readonly #peer: PeerCredentials | undefined;
  #debugger: QemuDebugger | undefined;
  #attaching = false;

  constructor(
    name: string,
    target: QemuTarget,
    qmp: QmpClient,
    peer: PeerCredentials | undefined,
    memory: WritablePhysicalMemory,
    hypervisor: string,
  ) {
    this.name = name;
    this.memory = memory;
    this.hypervisor = hypervisor;
    this.gone = qmp.closed;
    this.#target = target;
    this.#qmp = qmp;
    this.#peer = peer;
  }

  get live(): LiveMachine {
    return this;
  }

  async readVcpus(): Promise<readonly VcpuState[]> {
    return parseMonitorRegisters(await this.#qmp.monitor('info registers -a'));
  }

  doorbell(): Promise<Doorbell | undefined> {
    return connectDebugConsole(this.#qmp);
  }

  /** One debugger at a time. */
  async debug(): Promise<Debugger> {
    if (this.#attaching || this.#debugger?.detached === false) {
      throw new TargetError(`${this.name} is being debugged already`);
    }
    this.#attaching = true;
    try {
      const uid = this.#peer?.uid ?? process.getuid?.() ?? 0;
      const endpoint = await findGdbEndpoint(this.#qmp, uid, this.#target.gdb);
      this.#debugger = await QemuDebugger.attach(endpoint, qmpRunControl(this.#qmp));
      return this.#debugger;
    } finally {
      this.#attaching = false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#debugger?.[Symbol.asyncDispose]();
    this.memory[Symbol.dispose]();
    await this.#qmp[Symbol.asyncDispose]();
  }
}

const Accelerators = v.object({ enabled: v.string() });
const Kvm = v.object({ enabled: v.boolean() });

/** What executes the guest's instructions: asked directly from QEMU 10 on, by exclusion before. */
async function accelerator(qmp: QmpClient): Promise<string> {
  const stated = await qmp.query(Accelerators, 'query-accelerators').catch(() => undefined);
  if (stated !== undefined) return stated.enabled.toUpperCase();
  if ((await qmp.query(Kvm, 'query-kvm')).enabled) return 'KVM';
  const translates = await qmp.execute('x-query-jit').then(
    () => true,
    () => false,
  );
  return translates ? 'TCG' : 'unknown accelerator';
}

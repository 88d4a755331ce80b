import { TargetError } from '../../errors.ts';
import { type GuestVirtualAddress, hex } from '../../memory/address.ts';
import type { RegisterName, Registers } from '../../x86/registers.ts';
import type { RegisterChanges } from '../machine.ts';
import type { GdbClient } from './gdb-client.ts';
import { littleEndianHex } from './gdb-protocol.ts';
import { parseThreads } from './stop-reply.ts';
import { TargetDescription } from './target-description.ts';

/** vCPUs, at most: a bound on a list that ends when the stub says so. */
const MAX_VCPUS = 4096;
const TRANSFER_BYTES = 0x800;
const MAX_TRANSFERS = 256;
/** Bytes of memory written by one packet; QEMU 7.2 takes packets of 4096 characters. */
const WRITE_BYTES = 1024;

/**
 * What QEMU's gdbstub can do with a machine that stands still, in the terms of the machine. Remembers which vCPU
 * the stub has selected, so as not to select it again.
 */
export class GdbStub {
  readonly client: GdbClient;
  readonly #description: TargetDescription;
  #selected: number | undefined;

  private constructor(client: GdbClient, description: TargetDescription) {
    this.client = client;
    this.#description = description;
  }

  /** Agrees on features, reads the target description, and takes away breakpoints that another client left behind. */
  static async open(client: GdbClient, timeout?: number): Promise<GdbStub> {
    await client.request('qSupported:multiprocess+;xmlRegisters=i386', timeout);
    const stub = new GdbStub(client, await TargetDescription.read((name) => readDocument(client, name)));
    await stub.#removeForeignBreakpoints();
    return stub;
  }

  /** The vCPUs, ascending. */
  async vcpus(): Promise<number[]> {
    const vcpus: number[] = [];
    let threads = parseThreads(await this.client.request('qfThreadInfo'));
    while (threads !== undefined && vcpus.length < MAX_VCPUS) {
      vcpus.push(...threads);
      threads = parseThreads(await this.client.request('qsThreadInfo'));
    }
    if (vcpus.length === 0) throw new TargetError("QEMU's gdbstub names no vCPU");
    return vcpus.sort((a, b) => a - b);
  }

  /** Says what the stub has selected by itself, as it does when it reports a breakpoint; undefined: not known. */
  assumeSelected(vcpu: number | undefined): void {
    this.#selected = vcpu;
  }

  async readRegisters(vcpu: number): Promise<Registers> {
    const answers = await this.#ask([...this.#select(vcpu), 'g']);
    const registers = answers.at(-1) ?? '';
    if (registers.startsWith('E'))
      throw new TargetError(`QEMU's gdbstub cannot read registers: ${registers}`);
    return this.#description.decode(registers);
  }

  /** The requests that change registers of a vCPU; each is answered by `OK`. */
  changeRequests(vcpu: number, changes: RegisterChanges): string[] {
    const requests = this.#select(vcpu);
    for (const [name, value] of Object.entries(changes) as [RegisterName, bigint][]) {
      const place = this.#description.place(name);
      if (place === undefined) throw new TargetError(`QEMU's gdbstub has no register ${name}`);
      requests.push(`P${place.number.toString(16)}=${littleEndianHex(value, place.size)}`);
    }
    return requests;
  }

  async writeRegisters(vcpu: number, changes: RegisterChanges): Promise<void> {
    await this.expectOk(this.changeRequests(vcpu, changes));
  }

  /** Sends requests in one write, followed by one that has no answer; throws unless each is answered by `OK`. */
  async expectOk(requests: readonly string[], last = ''): Promise<void> {
    const answers = await this.#ask(requests, last);
    const refused = answers.findIndex((answer) => answer !== 'OK');
    if (refused < 0) return;
    throw new TargetError(
      `QEMU's gdbstub refused ${requests[refused]?.slice(0, 40)}: ${answers[refused] || 'unknown'}`,
    );
  }

  /** Writes guest-virtual memory through the page tables of a vCPU; QEMU drops its translations of that code. */
  async writeMemory(vcpu: number, address: GuestVirtualAddress, bytes: Uint8Array): Promise<void> {
    const requests = this.#select(vcpu);
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      const part = bytes.subarray(at, at + WRITE_BYTES);
      const start = (address + BigInt(at)).toString(16);
      requests.push(`M${start},${part.length.toString(16)}:${Buffer.from(part).toString('hex')}`);
    }
    await this.expectOk(requests);
  }

  async insertBreakpoint(address: GuestVirtualAddress): Promise<void> {
    const answer = await this.client.request(`Z0,${address.toString(16)},1`);
    if (answer !== 'OK')
      throw new TargetError(`QEMU set no breakpoint at ${hex(address)}: ${answer || 'unknown'}`);
  }

  /** Takes breakpoints away in one write; those that QEMU no longer has are no error. */
  async removeBreakpoints(addresses: Iterable<GuestVirtualAddress>): Promise<void> {
    const requests = [...addresses].map((address) => `z0,${address.toString(16)},1`);
    if (requests.length > 0) await this.client.requests(requests);
  }

  /**
   * Writes CR3 with the value that it has: under TCG that drops the vCPU's translations, global ones included
   * (QEMU, target/i386/helper.c, cpu_x86_update_cr3).
   */
  async flushTranslations(vcpu: number): Promise<void> {
    const registers = await this.readRegisters(vcpu);
    await this.writeRegisters(vcpu, { cr3: registers.get('cr3') });
  }

  /**
   * Asked why the machine stands still, QEMU takes away the breakpoints of the vCPU that is selected to go on
   * (gdbstub.c, handle_target_halt). Its answers are stop replies, which nobody listens to yet.
   */
  async #removeForeignBreakpoints(): Promise<void> {
    const vcpus = await this.vcpus();
    for (const vcpu of vcpus) await this.client.requests([`Hcp1.${vcpu.toString(16)}`], '?');
    await this.expectOk(this.#select(vcpus[0] ?? 1));
  }

  #select(vcpu: number): string[] {
    if (vcpu === this.#selected) return [];
    this.#selected = vcpu;
    return [`Hgp1.${vcpu.toString(16)}`];
  }

  async #ask(requests: readonly string[], last = ''): Promise<string[]> {
    const answers = await this.client.requests(requests, last);
    if (requests[0]?.startsWith('Hg') && answers[0] !== 'OK') {
      this.#selected = undefined;
      throw new TargetError(`QEMU's gdbstub knows no vCPU ${requests[0].slice('Hgp1.'.length)}`);
    }
    return answers;
  }
}

/** Reads one document of the target description, part by part. */
async function readDocument(client: GdbClient, name: string): Promise<string> {
  let text = '';
  for (let i = 0; i < MAX_TRANSFERS; i++) {
    const request = `qXfer:features:read:${name}:${text.length.toString(16)},${TRANSFER_BYTES.toString(16)}`;
    const answer = await client.request(request);
    if (!/^[ml]/.test(answer)) throw new TargetError(`QEMU's gdbstub has no target description ${name}`);
    text += answer.slice(1);
    if (answer.startsWith('l')) return text;
  }
  throw new TargetError(`QEMU's target description ${name} has no end`);
}

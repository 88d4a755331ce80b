import type { Socket } from 'node:net';
import { encodePacket, GdbPacketParser } from '../../../src/machine/qemu/gdb-protocol.ts';
import type { RunControl } from '../../../src/machine/qemu/run-control.ts';
import { SocketServer } from './socket-server.ts';

const DOCUMENTS: Readonly<Record<string, string>> = {
  'target.xml': '<target><xi:include href="core.xml"/></target>',
  'core.xml': `<feature>${[
    ...[
      'rax',
      'rbx',
      'rcx',
      'rdx',
      'rsi',
      'rdi',
      'rbp',
      'rsp',
      'r8',
      'r9',
      'r10',
      'r11',
      'r12',
      'r13',
      'r14',
      'r15',
      'rip',
    ],
    ...['eflags', 'cs', 'ss', 'ds', 'es', 'fs', 'gs'].map((name) => `${name}:32`),
    ...['fs_base', 'gs_base', 'k_gs_base', 'cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'],
  ]
    .map((text) => text.split(':'))
    .map(([name, bits = '64'], i) => `<reg name="${name}" bitsize="${bits}"${i === 0 ? ' regnum="0"' : ''}/>`)
    .join('\n')}</feature>`,
};
const NARROW_FROM = 17;
const NARROW_TO = 23;

/** A gdbstub with the habits of QEMU's, on a real socket, and the machine behind it. */
export class FakeGdbstub implements AsyncDisposable, RunControl {
  /** Every packet that came, and `^C`. */
  readonly log: string[] = [];
  readonly breakpoints = new Set<string>();
  /** vCPUs whose breakpoints were taken away by `?`. */
  readonly cleared = new Set<number>();
  /** Registers by number, of each vCPU; vCPU 1 comes first. */
  readonly registers: Map<number, bigint>[] = [new Map(), new Map()];
  status = 'running';
  /** Packets answered by something else than usual, or, with undefined, not at all. */
  readonly overrides = new Map<string, string | undefined>();
  server!: SocketServer;
  readonly #listeners = new Set<() => void>();
  readonly #stopsAtConnect: boolean;
  #selected = 1;
  #continued = 1;

  private constructor(stopsAtConnect: boolean) {
    this.#stopsAtConnect = stopsAtConnect;
  }

  /** @param stopsAtConnect whether the stub says at connect that the machine stopped: QEMU 7.2 does, 11 does not */
  static async start(stopsAtConnect = true): Promise<FakeGdbstub> {
    const stub = new FakeGdbstub(stopsAtConnect);
    stub.server = await SocketServer.listen((socket) => stub.#serve(socket));
    return stub;
  }

  get endpoint() {
    return { address: { path: this.server.path }, release: async () => {} };
  }

  /** A vCPU meets a breakpoint. */
  hit(vcpu: number): void {
    this.status = 'debug';
    this.#selected = vcpu;
    this.send(`T05thread:p01.0${vcpu};`);
  }

  send(packet: string): void {
    for (const socket of this.server.sockets) socket.write(encodePacket(packet));
  }

  /** Somebody types `stop` in a monitor. */
  async pause(): Promise<void> {
    if (this.status === 'running') this.send('T02thread:p01.01;');
    this.status = 'paused';
  }

  /** Somebody types `cont` in a monitor. */
  async run(): Promise<void> {
    this.status = 'running';
    for (const listener of this.#listeners) listener();
  }

  async state(): Promise<string> {
    return this.status;
  }

  onRun(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  #serve(socket: Socket): void {
    if (this.status === 'running') {
      this.status = 'paused';
      if (this.#stopsAtConnect) socket.write(encodePacket('T02thread:p01.01;'));
    }
    const parser = new GdbPacketParser();
    socket.on('data', (chunk) => {
      for (const byte of chunk) this.#takeByte(byte, parser, socket);
    });
  }

  /** Any byte stops a machine that runs, and is lost. */
  #takeByte(byte: number, parser: GdbPacketParser, socket: Socket): void {
    if (this.status === 'running') {
      if (byte === 0x03) this.log.push('^C');
      this.pause();
      return;
    }
    for (const event of parser.feed(Uint8Array.of(byte))) {
      if (event.kind !== 'packet') continue;
      const packet = Buffer.from(event.payload).toString('latin1');
      this.log.push(packet);
      const answer = this.overrides.has(packet) ? this.overrides.get(packet) : this.#answer(packet);
      if (answer !== undefined) socket.write(Buffer.concat([Buffer.from('+'), encodePacket(answer)]));
    }
  }

  #answer(packet: string): string | undefined {
    const registers = this.registers[this.#selected - 1] ?? new Map<number, bigint>();
    const document = /^qXfer:features:read:([^:]+):([0-9a-f]+),/.exec(packet);
    if (document !== null) {
      const rest = DOCUMENTS[document[1] ?? '']?.slice(Number.parseInt(document[2] ?? '', 16)) ?? '';
      return rest.length > 300 ? `m${rest.slice(0, 300)}` : `l${rest}`;
    }
    if (packet === '?') {
      this.cleared.add(this.#continued);
      if (this.cleared.size === this.registers.length) this.breakpoints.clear();
      return 'T05core:01;';
    }
    if (packet.startsWith('qSupported')) return 'PacketSize=1000;qXfer:features:read+;multiprocess+';
    if (packet === 'qfThreadInfo') return 'mp01.01';
    if (packet === 'qsThreadInfo') {
      const asked = this.log.slice(this.log.lastIndexOf('qfThreadInfo')).length;
      return asked <= this.registers.length ? `mp01.0${asked}` : 'l';
    }
    if (packet.startsWith('Hcp1.')) {
      this.#continued = Number.parseInt(packet.slice(5), 16);
      return 'OK';
    }
    if (packet.startsWith('Hgp1.')) {
      const vcpu = Number.parseInt(packet.slice(5), 16);
      if (vcpu > this.registers.length) return 'E22';
      this.#selected = vcpu;
      return 'OK';
    }
    if (packet === 'g') {
      let text = '';
      for (let i = 0; i < 33; i++)
        text += swapped(registers.get(i) ?? 0n, i >= NARROW_FROM && i <= NARROW_TO ? 4 : 8);
      return text;
    }
    const write = /^P([0-9a-f]+)=([0-9a-f]+)$/.exec(packet);
    if (write !== null) {
      const bytes = Buffer.from(write[2] ?? '', 'hex').reverse();
      registers.set(Number.parseInt(write[1] ?? '', 16), BigInt(`0x${bytes.toString('hex')}`));
      return 'OK';
    }
    if (packet.startsWith('Z0,')) {
      this.breakpoints.add(packet.split(',')[1] ?? '');
      return 'OK';
    }
    if (packet.startsWith('z0,')) return this.breakpoints.delete(packet.split(',')[1] ?? '') ? 'OK' : 'E22';
    if (packet.startsWith('M')) return 'OK';
    if (packet === 'vCont;c') {
      this.run();
      return undefined;
    }
    const step = /^vCont;s:p1\.([0-9a-f]+)$/.exec(packet);
    if (step !== null) {
      const vcpu = Number.parseInt(step[1] ?? '', 16);
      this.#selected = vcpu;
      const stepped = this.registers[vcpu - 1];
      stepped?.set(16, (stepped.get(16) ?? 0n) + 1n);
      return `T05thread:p01.0${vcpu};`;
    }
    return '';
  }
}

function swapped(value: bigint, bytes: number): string {
  return Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex')
    .reverse()
    .toString('hex');
}

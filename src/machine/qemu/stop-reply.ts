/** A stop reply (GDB manual, appendix E.3), as far as QEMU sends them. */
export interface StopReply {
  /** `stopped`, or `ended` when the machine is no more. */
  readonly kind: 'stopped' | 'ended';
  /** GDB's signal number: 5 for a breakpoint or a step, 2 for an interrupt or a pause. */
  readonly signal: number;
  /** The vCPU that is spoken of, from 1 on, where the reply names one. */
  readonly vcpu?: number;
}

/** GDB's number for SIGTRAP. */
export const SIGNAL_TRAP = 5;

const PATTERN = /^([TSWX])([0-9a-f]{2})(.*)$/;
const THREAD = /(?:^|;)thread:(?:p[0-9a-f]+\.)?([0-9a-f]+)/;

/** Reads a stop reply; undefined for any other packet. No reply to a request that this client sends looks like one. */
export function parseStopReply(packet: string): StopReply | undefined {
  const match = PATTERN.exec(packet);
  if (match === null) return undefined;
  const signal = Number.parseInt(match[2] ?? '', 16);
  if (match[1] === 'W' || match[1] === 'X') return { kind: 'ended', signal };
  const thread = THREAD.exec(match[3] ?? '');
  return thread === null
    ? { kind: 'stopped', signal }
    : { kind: 'stopped', signal, vcpu: Number.parseInt(thread[1] ?? '', 16) };
}

/** The vCPUs of a thread list (`m` + `p01.01,p01.02`); undefined for its end (`l`). */
export function parseThreads(packet: string): number[] | undefined {
  if (!packet.startsWith('m')) return undefined;
  return packet
    .slice(1)
    .split(',')
    .map((thread) => Number.parseInt(thread.slice(thread.indexOf('.') + 1), 16))
    .filter((vcpu) => vcpu > 0);
}

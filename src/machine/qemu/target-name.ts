import { statSync } from 'node:fs';
import { UsageError } from '../../errors.ts';

/** How the name of a QEMU machine begins. */
export const QEMU_SCHEME = 'qemu:';

/** The parts of `qemu:PATH?gdb=...&ram=...`. */
export interface QemuTarget {
  /** The QMP socket. */
  readonly qmp: string;
  /** A gdb socket: a path, or `tcp:HOST:PORT`. */
  readonly gdb?: string;
  /** The file that holds the guest's RAM. */
  readonly ram?: string;
}

/** Takes a target's name apart. Throws a UsageError for one that names no socket, or has an unknown option. */
export function parseQemuTarget(name: string): QemuTarget {
  const text = name.slice(QEMU_SCHEME.length);
  const question = text.indexOf('?');
  const qmp = question < 0 ? text : text.slice(0, question);
  if (!name.startsWith(QEMU_SCHEME) || qmp === '') {
    throw new UsageError(`${name} names no machine: give qemu:PATH with PATH a QMP socket`);
  }
  const options = new URLSearchParams(question < 0 ? '' : text.slice(question + 1));
  for (const key of options.keys()) {
    if (key !== 'gdb' && key !== 'ram')
      throw new UsageError(`${name} has an unknown option ${key}: there are gdb and ram`);
  }
  const gdb = options.get('gdb');
  const ram = options.get('ram');
  return { qmp, ...(gdb ? { gdb } : {}), ...(ram ? { ram } : {}) };
}

/** Throws a UsageError unless there is a socket at that path. */
export function checkSocket(path: string): void {
  let isSocket: boolean;
  try {
    isSocket = statSync(path).isSocket();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EACCES') throw new UsageError(`permission denied on ${path}`, { cause });
    throw new UsageError(`there is no socket ${path}`, { cause });
  }
  if (!isSocket) throw new UsageError(`${path} is not a socket: after qemu: comes the path of a QMP socket`);
}

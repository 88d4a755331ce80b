import type { EventProcess } from '../alerts/event.ts';
import { readable } from '../errors.ts';
import { type Credentials, readCredentials } from '../linux/credentials.ts';
import { readExeFile } from '../linux/files/exe-file.ts';
import type { KernelPath } from '../linux/files/path.ts';
import { rootDirectory } from '../linux/files/root.ts';
import type { Kernel } from '../linux/kernel.ts';
import { readTask, type Task } from '../linux/task.ts';
import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import type { ProcessIdentity } from './policy.ts';

const MAX_PARENTS = 16;
const DELETED = ' (deleted)';

/** Who a process is, for policies and for events. What cannot be read is left out. */
export class ProcessInfo {
  readonly #kernel: Kernel;
  #root: KernelPath | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** A program that was replaced on disk while it runs goes on under its old path. */
  identity(task: Task, mm: GuestVirtualAddress): ProcessIdentity {
    const path = this.#path(mm);
    return { name: task.comm, path: path?.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path };
  }

  describe(task: Task, mm: GuestVirtualAddress): EventProcess {
    const credentials = this.#credentials(task);
    return {
      pid: task.pid,
      tgid: task.tgid,
      comm: task.comm,
      path: this.#path(mm) ?? null,
      uid: credentials?.uid ?? null,
      euid: credentials?.euid ?? null,
      gid: credentials?.gid ?? null,
      egid: credentials?.egid ?? null,
      parents: this.#parents(task),
    };
  }

  #path(mm: GuestVirtualAddress): string | undefined {
    return readable(() => {
      this.#root ??= rootDirectory(this.#kernel);
      return readExeFile(this.#kernel, mm, this.#root)?.path;
    });
  }

  #credentials(task: Task): Credentials | undefined {
    return readable(() => readCredentials(this.#kernel, task.credentials));
  }

  #parents(task: Task): EventProcess['parents'] {
    const parents: EventProcess['parents'] = [];
    const seen = new Set<bigint>([task.address]);
    let next = task.parent;
    while (parents.length < MAX_PARENTS && next !== gva(0n) && !seen.has(next)) {
      seen.add(next);
      const parent = readable(() => readTask(this.#kernel, next));
      if (parent === undefined || parent.tgid <= 0) break;
      parents.push({ pid: parent.tgid, comm: parent.comm });
      next = parent.parent;
    }
    return parents;
  }
}

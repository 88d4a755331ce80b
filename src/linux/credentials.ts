import type { GuestVirtualAddress } from '../memory/address.ts';
import type { Kernel } from './kernel.ts';
import { KernelObject } from './kernel-object.ts';

/** Who a task acts for (`struct cred`); numbers are those of the initial user namespace. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly suid: number;
  readonly sgid: number;
  readonly fsuid: number;
  readonly fsgid: number;
  /** `CAP_*`, one bit each (include/uapi/linux/capability.h). */
  readonly effectiveCapabilities: bigint;
}

/** Reads a `struct cred`. Throws a KernelMemoryError or PhysicalMemoryError when it is not there. */
export function readCredentials(
  kernel: Pick<Kernel, 'memory' | 'layout'>,
  address: GuestVirtualAddress,
): Credentials {
  const { cred: layout } = kernel.layout;
  const cred = new KernelObject(kernel.memory, address);
  return {
    uid: cred.u32(layout.uid),
    gid: cred.u32(layout.gid),
    euid: cred.u32(layout.euid),
    egid: cred.u32(layout.egid),
    suid: cred.u32(layout.suid),
    sgid: cred.u32(layout.sgid),
    fsuid: cred.u32(layout.fsuid),
    fsgid: cred.u32(layout.fsgid),
    effectiveCapabilities: cred.u64(layout.cap_effective),
  };
}

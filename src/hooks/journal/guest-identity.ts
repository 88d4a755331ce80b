import type { Kernel } from '../../linux/kernel.ts';
import { findProcess } from '../../linux/task-list.ts';
import { hex } from '../../memory/address.ts';

const INIT = 1;

/**
 * What tells one boot of a guest from another: the kernel, and where it and its first process came to lie in memory,
 * which is random at each boot.
 */
export interface GuestIdentity {
  readonly banner: string;
  readonly textBase: string;
  readonly directMap: string;
  /** `task_struct` of init. */
  readonly init: string;
}

export function identify(kernel: Kernel): GuestIdentity {
  return {
    banner: kernel.banner,
    textBase: hex(kernel.textBase),
    directMap: hex(kernel.memory.directMap?.virtualStart ?? 0n),
    init: hex(findProcess(kernel, INIT)?.address ?? 0n),
  };
}

export function isSameGuest(one: GuestIdentity, other: GuestIdentity): boolean {
  return (
    one.banner === other.banner &&
    one.textBase === other.textBase &&
    one.directMap === other.directMap &&
    one.init === other.init
  );
}

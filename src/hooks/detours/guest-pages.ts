import { TargetError } from '../../errors.ts';
import { type GuestVirtualAddress, gva, hex } from '../../memory/address.ts';
import { PAGE_SIZE } from '../../x86/page-tables.ts';
import { callInInterrupt, type GuestCallContext } from './guest-call.ts';

/**
 * `__GFP_HIGH | __GFP_KSWAPD_RECLAIM | __GFP_ZERO`: zeroed pages at once or not at all, also in an interrupt. The
 * bits are the same from 5.10 to 7.x (include/linux/gfp.h, gfp_types.h).
 */
const GFP_ATOMIC_ZERO = 0x20n | 0x800n | 0x100n;

/** Pages from the guest's own allocator: no other code of the guest uses them until they are given back. */
export interface GuestPages {
  readonly address: GuestVirtualAddress;
  /** Guest-physical address of the same; the pages follow one another. */
  readonly physical: number;
  /** 2^order pages. */
  readonly order: number;
}

/** Asks the guest's page allocator for 2^order zeroed pages of the direct map, by code at `place`. @throws TargetError where it has none */
export async function allocatePages(
  context: GuestCallContext,
  place: GuestVirtualAddress,
  order: number,
): Promise<GuestPages> {
  const { symbols, memory } = context.kernel;
  const allocate = symbols.find('__get_free_pages') ?? symbols.find('get_free_pages_noprof');
  if (allocate === undefined) throw new TargetError('the kernel has no function __get_free_pages');
  const address = gva(await callInInterrupt(context, place, allocate, [GFP_ATOMIC_ZERO, BigInt(order)]));
  if (address === 0n) throw new TargetError('the guest has no memory left for the mailbox');
  const physical = memory.locateAddress(address);
  const length = PAGE_SIZE * 2 ** order;
  if (Number(address % BigInt(PAGE_SIZE)) !== 0 || !context.memory.contains(physical, length))
    throw new TargetError(`the guest's allocator gave ${hex(address)}, which is no page`);
  return { address, physical, order };
}

/** Gives pages back to the guest's allocator, by code at `place`. */
export async function freePages(
  context: GuestCallContext,
  place: GuestVirtualAddress,
  { address, order }: Omit<GuestPages, 'physical'>,
): Promise<void> {
  await callInInterrupt(context, place, context.kernel.symbols.require('free_pages'), [
    address,
    BigInt(order),
  ]);
}

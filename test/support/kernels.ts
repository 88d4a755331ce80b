import { KERNELS } from '../../lab/kernels.ts';

/** The kernels that this guest tests run on unless `npm test -- guest KERNEL...` names others. */
const DEFAULT = ['5.10', '6.1'];

/** Ids of the guest kernels to test on. */
export function kernelsUnderTest(): string[] {
  const named = (process.env.UNDERWATCH_KERNELS ?? '').split(',').filter((id) => id !== '');
  const unknown = named.find((id) => !KERNELS.some((kernel) => kernel.id === id));
  if (unknown !== undefined) throw new RangeError(`no guest kernel ${unknown}`);
  return named.length > 0 ? named : DEFAULT;
}

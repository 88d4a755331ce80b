import type { PackageVersion, Release } from './debian/apt.ts';
import { LabError } from './errors.ts';

/** A row of the table of guest kernels. */
export interface KernelRow {
  /** What demo, tests and benches call it. */
  readonly id: string;
  readonly release: Release;
  readonly flavour: 'cloud' | 'generic';
  /** QEMU's `-cpu` unless the guest asks for another. */
  readonly cpu: string;
  /** `ABI=VERSION` of exact packages, newest first: the first that can still be fetched is used. */
  readonly candidates: readonly string[];
}

/** All features that TCG has but 57-bit linear addresses, which a guest asks for by name. */
const MAX = 'max,la57=off';
/** Linux 6.12 with `max` panics at random under the TCG of QEMU 7.2; with this model, on which KPTI is on, it does not. */
const NEHALEM = 'Nehalem';

/** The guest kernels. To add one, add a line; to follow Debian, put its newest version in front of the candidates. */
export const KERNELS: readonly KernelRow[] = [
  row(
    '5.10',
    'bullseye',
    'cloud',
    MAX,
    '5.10.0-46=5.10.262-1 5.10.0-45=5.10.259-1 5.10.0-44=5.10.257-1 5.10.0-32=5.10.223-1',
  ),
  row(
    '6.1',
    'bookworm',
    'cloud',
    MAX,
    '6.1.0-56=6.1.192-2 6.1.0-55=6.1.192-1 6.1.0-54=6.1.190-1 6.1.0-50=6.1.176-1',
  ),
  row(
    '6.12',
    'trixie',
    'cloud',
    NEHALEM,
    '6.12.117+deb13=6.12.117-1 6.12.116+deb13=6.12.116-1 6.12.107+deb13=6.12.107-1',
  ),
  row('7.2', 'sid', 'cloud', MAX, '7.2.13+deb14=7.2.13-1'),
  row(
    '5.10-generic',
    'bullseye',
    'generic',
    MAX,
    '5.10.0-46=5.10.262-1 5.10.0-45=5.10.259-1 5.10.0-32=5.10.223-1',
  ),
  row('6.1-generic', 'bookworm', 'generic', MAX, '6.1.0-56=6.1.192-2 6.1.0-55=6.1.192-1 6.1.0-50=6.1.176-1'),
];

/** The row of a kernel by its id. Throws {@link LabError} with the known ids. */
export function kernelRow(id: string): KernelRow {
  const found = KERNELS.find((kernel) => kernel.id === id);
  if (!found)
    throw new LabError(`no guest kernel ${id}; there are ${KERNELS.map((kernel) => kernel.id).join(', ')}`);
  return found;
}

/** The package that an `ABI=VERSION` candidate of a row names. */
export function candidatePackage(kernel: KernelRow, candidate: string): PackageVersion {
  const [abi = '', version = ''] = candidate.split('=');
  const flavour = kernel.flavour === 'generic' ? '' : `${kernel.flavour}-`;
  return { name: `linux-image-${abi}-${flavour}amd64`, version };
}

function row(
  id: string,
  release: Release,
  flavour: KernelRow['flavour'],
  cpu: string,
  candidates: string,
): KernelRow {
  return { id, release, flavour, cpu, candidates: candidates.split(' ') };
}

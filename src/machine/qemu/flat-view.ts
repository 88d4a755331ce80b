import { TargetError } from '../../errors.ts';
import { type GuestPhysicalAddress, gpa } from '../../memory/address.ts';
import type { PhysicalRange } from '../../memory/physical-memory.ts';

/** A run of guest-physical addresses that a memory backend of QEMU stands behind. */
export interface RamRange extends PhysicalRange {
  /** The id of the backend: `pc.ram`, `ram0`. */
  readonly backend: string;
  /** Where the run starts in the backend, in bytes. */
  readonly offset: number;
}

/** Ranges accepted, at most. */
const MAX_RANGES = 4096;
/** The address space that the CPUs see, system management mode apart. */
const ADDRESS_SPACE = ' AS "memory",';
const LINE =
  /^ {2}([0-9a-f]{16})-([0-9a-f]{16}) \(prio (-?\d+), (ram|rom)\): (.+?)(?: @([0-9a-f]{16}))?(?: KVM)?\s*$/;

/**
 * The RAM in what the monitor prints for `info mtree -f`: the flat view of the address space `memory`, which has
 * every alias resolved. RAM that is read-only for now (the windows from 0xc0000 on) is RAM; firmware is not, as
 * it is no backend's. Memory of a PCI device (ivshmem) is left out: it is mapped above priority 0.
 * @param backends the ids of the memory backends that count
 * @throws TargetError where there is no RAM in it
 */
export function parseFlatView(text: string, backends: ReadonlySet<string>): RamRange[] {
  const ranges: RamRange[] = [];
  for (const line of memoryView(text)) {
    const match = LINE.exec(line);
    if (match === null || match[3] !== '0' || ranges.length === MAX_RANGES) continue;
    const backend = match[5]?.replace(/^\/objects\//, '') ?? '';
    if (backends.has(backend)) append(ranges, rangeOf(match, backend));
  }
  if (ranges.length === 0) throw new TargetError("QEMU's memory tree shows no RAM");
  return ranges;
}

function memoryView(text: string): string[] {
  const view = text.split(/^FlatView #/m).find((part) => part.includes(ADDRESS_SPACE));
  return view?.split('\n') ?? [];
}

function rangeOf(match: RegExpExecArray, backend: string): RamRange {
  const start = Number.parseInt(match[1] ?? '', 16);
  const end = Number.parseInt(match[2] ?? '', 16) + 1;
  return { start: gpa(start), size: end - start, backend, offset: Number.parseInt(match[6] ?? '0', 16) };
}

/** Appends, joined with the range before it where both are one piece of one backend. */
function append(
  ranges: { start: GuestPhysicalAddress; size: number; backend: string; offset: number }[],
  next: RamRange,
): void {
  const last = ranges.at(-1);
  const follows =
    last !== undefined &&
    last.backend === next.backend &&
    last.start + last.size === next.start &&
    last.offset + last.size === next.offset;
  if (follows) last.size += next.size;
  else ranges.push({ ...next });
}

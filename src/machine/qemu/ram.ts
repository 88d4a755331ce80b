import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { TargetError, UnderwatchError } from '../../errors.ts';
import { hex } from '../../memory/address.ts';
import { MappedMemory, type MappedRange } from '../../memory/mapped-memory.ts';
import { LivePageCache } from '../../memory/page-cache.ts';
import type { WritablePhysicalMemory } from '../../memory/physical-memory.ts';
import { ProcessMemory } from '../../memory/process-memory.ts';
import { parseFlatView, type RamRange } from './flat-view.ts';
import { type HostMapping, mappingsOf, openablePath } from './host-mappings.ts';
import type { QmpClient } from './qmp.ts';
import { agreesWithMonitor } from './ram-check.ts';

/** A run of RAM together with where it lies in QEMU's own address space. */
interface HostRange extends RamRange {
  readonly hostAddress: number;
}

const Backends = v.array(v.object({ id: v.optional(v.string()), share: v.optional(v.boolean()) }));
const Devices = v.array(v.object({ type: v.string(), data: v.object({ memdev: v.optional(v.string()) }) }));
const Vcpus = v.array(v.object({ 'thread-id': v.number() }));

/**
 * Opens the RAM of a QEMU machine: mapped, where QEMU keeps it in files or memfds that it shares; otherwise
 * through QEMU's process memory. Which it is, and where which part lies, is asked of QEMU and of the kernel; what
 * was opened is compared with what QEMU itself reads.
 * @param peer the process that listens on the QMP socket
 * @param path a RAM file that the user named, taken in place of all that
 * @throws TargetError where the RAM can be neither mapped nor read
 */
export async function openRam(
  qmp: QmpClient,
  peer: number | undefined,
  path?: string,
): Promise<WritablePhysicalMemory> {
  const layout = parseFlatView(await qmp.monitor('info mtree -f'), await backendIds(qmp));
  if (path !== undefined) return openNamed(qmp, layout, path);
  const ranges = await locate(qmp, layout);
  for (const pid of await processes(qmp, peer)) {
    const memory = (await openMapped(qmp, pid, ranges)) ?? (await openProcess(qmp, pid, ranges));
    if (memory !== undefined) return memory;
  }
  const byPath = await openByPath(qmp, layout);
  if (byPath !== undefined) return byPath;
  throw new TargetError(UNREADABLE);
}

const UNREADABLE =
  "the guest's RAM can be neither mapped nor read in QEMU's process: run as root or as the user that runs QEMU, or " +
  'start QEMU with -object memory-backend-file,id=ram0,size=SIZE,mem-path=/dev/shm/guest,share=on ' +
  '-machine memory-backend=ram0 (memory-backend-memfd for the same user; with libvirt: ' +
  "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>)";

/** Every memory backend but those of non-volatile memory, which is no RAM of the kernel's. */
async function backendIds(qmp: QmpClient): Promise<Set<string>> {
  const ids = (await qmp.query(Backends, 'query-memdev')).map(({ id }) => id ?? '');
  const devices = await qmp.query(Devices, 'query-memory-devices').catch(() => []);
  const nonVolatile = devices.filter(({ type }) => type === 'nvdimm').map(({ data }) => data.memdev);
  return new Set(ids.filter((id) => !nonVolatile.includes(`/objects/${id}`)));
}

/** Asks QEMU where the first range of each backend lies in its address space; a backend is one piece there. */
async function locate(qmp: QmpClient, layout: readonly RamRange[]): Promise<HostRange[]> {
  const bases = new Map<string, number>();
  for (const { backend, start, offset } of layout) {
    if (bases.has(backend)) continue;
    const text = await qmp.monitor(`gpa2hva ${hex(start)}`);
    const address = Number(/ is (0x[0-9a-f]+)/.exec(text)?.[1]);
    if (Number.isNaN(address)) throw new TargetError(`QEMU does not say where its RAM ${backend} lies`);
    bases.set(backend, address - offset);
  }
  return layout.map((range) => ({ ...range, hostAddress: (bases.get(range.backend) ?? 0) + range.offset }));
}

/**
 * The processes that may be QEMU: who listens on the socket, and whose threads the vCPUs are. They differ where
 * libvirt made the socket, and the second is of no use where QEMU lives in another process namespace.
 */
async function processes(qmp: QmpClient, peer: number | undefined): Promise<Set<number>> {
  const pids = new Set<number>();
  if (peer !== undefined) pids.add(peer);
  const [vcpu] = await qmp.query(Vcpus, 'query-cpus-fast');
  const leader = vcpu === undefined ? undefined : threadGroup(vcpu['thread-id']);
  if (leader !== undefined) pids.add(leader);
  return pids;
}

function threadGroup(thread: number): number | undefined {
  try {
    const tgid = /^Tgid:\s*(\d+)$/m.exec(readFileSync(`/proc/${thread}/status`, 'latin1'))?.[1];
    return tgid === undefined ? undefined : Number(tgid);
  } catch {
    return undefined;
  }
}

/** Maps the files behind QEMU's own mappings; undefined where one is private, or cannot be opened. */
async function openMapped(
  qmp: QmpClient,
  pid: number,
  ranges: readonly HostRange[],
): Promise<WritablePhysicalMemory | undefined> {
  const mappings = mappingsOf(pid);
  const mapped: MappedRange[] = [];
  for (const range of ranges) {
    const mapping = mappings.find(({ start, end }) => start <= range.hostAddress && range.hostAddress < end);
    const path = mapping?.shared ? openablePath(pid, mapping) : undefined;
    if (mapping === undefined || path === undefined) return undefined;
    mapped.push({ start: range.start, size: range.size, path, offset: fileOffset(mapping, range) });
  }
  return checked(qmp, () => new MappedMemory(mapped));
}

function fileOffset(mapping: HostMapping, range: HostRange): number {
  return mapping.offset + (range.hostAddress - mapping.start);
}

async function openProcess(
  qmp: QmpClient,
  pid: number,
  ranges: readonly HostRange[],
): Promise<WritablePhysicalMemory | undefined> {
  return checked(qmp, () => new LivePageCache(new ProcessMemory(pid, ranges)));
}

/** Where QEMU's process is out of reach: the path that each backend was given, if all are files that are shared. */
async function openByPath(
  qmp: QmpClient,
  layout: readonly RamRange[],
): Promise<WritablePhysicalMemory | undefined> {
  const shared = (await qmp.query(Backends, 'query-memdev')).filter(({ share }) => share).map(({ id }) => id);
  const mapped: MappedRange[] = [];
  for (const { backend, ...range } of layout) {
    if (!shared.includes(backend)) return undefined;
    const property = { path: `/objects/${backend}`, property: 'mem-path' };
    const path = await qmp.query(v.string(), 'qom-get', property).catch(() => undefined);
    if (path === undefined) return undefined;
    mapped.push({ ...range, path });
  }
  return checked(qmp, () => new MappedMemory(mapped));
}

async function openNamed(
  qmp: QmpClient,
  layout: readonly RamRange[],
  path: string,
): Promise<WritablePhysicalMemory> {
  if (new Set(layout.map(({ backend }) => backend)).size > 1) {
    throw new TargetError(`the guest's RAM has more than one backend, and ram= names one file: leave it out`);
  }
  const memory = new MappedMemory(layout.map(({ start, size, offset }) => ({ start, size, offset, path })));
  if (await agreesWithMonitor(qmp, memory)) return memory;
  memory[Symbol.dispose]();
  throw new TargetError(`${path} is not the RAM of this guest: what QEMU reads differs`);
}

/** The memory, if it can be opened and is the guest's. */
async function checked(
  qmp: QmpClient,
  open: () => WritablePhysicalMemory,
): Promise<WritablePhysicalMemory | undefined> {
  let memory: WritablePhysicalMemory | undefined;
  try {
    memory = open();
    if (await agreesWithMonitor(qmp, memory)) return memory;
  } catch (error) {
    if (!(error instanceof UnderwatchError) || error.code === 'lost') throw error;
  }
  memory?.[Symbol.dispose]();
  return undefined;
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { fetchDebugKernel, fetchFirmwareModule } from '../../lab/peers.ts';
import { QmpClient } from '../../src/machine/qemu/qmp.ts';

/** The kernel whose debug package stays in a Debian release, so that the peers can be run on it. */
const KERNEL = { kernel: '6.12', candidate: '6.12.107+deb13=6.12.107-1' };
const RELEASE = 'trixie';
const DUMP_MS = 600_000;

/** How many processes fill the guest, and with how many memory areas. */
export interface Workload {
  readonly processes: number;
  readonly areas: number;
  /** Of the first process. */
  readonly largest: number;
}

/** Two images of one guest that stood still. */
export interface Images {
  readonly elf: string;
  readonly kdump: string;
  /** The kernel with its debugging information. */
  readonly vmlinux: string;
}

/** Boots a guest, fills it and dumps it twice into a folder; the guest is gone afterwards. */
export async function makeImages(folder: string, workload: Workload): Promise<Images> {
  await using guest = await bootGuest({
    ...KERNEL,
    qemu: 'newest',
    memory: 512,
    qemuArgs: ['-device', 'vmcoreinfo'],
  });
  const vmlinux = await fetchDebugKernel(guest.kernel, RELEASE);
  await noteVmcoreinfo(guest);
  await fill(guest, workload);
  await using qmp = await QmpClient.connect(guest.qmpSocket);
  await qmp.execute('stop');
  return {
    elf: await dump(qmp, join(folder, 'elf'), 'elf'),
    kdump: await dump(qmp, join(folder, 'kdump'), 'kdump-zlib'),
    vmlinux,
  };
}

/** The peers cannot open a dump without VMCOREINFO, which the guest has to hand to QEMU. */
async function noteVmcoreinfo(guest: Guest): Promise<void> {
  const module = await fetchFirmwareModule(guest.kernel, RELEASE);
  await guest.writeFile('/tmp/qemu_fw_cfg.ko', await readFile(module));
  const { status, output } = await guest.run('insmod /tmp/qemu_fw_cfg.ko');
  if (status !== 0) throw new Error(`the guest does not load qemu_fw_cfg: ${output}`);
}

async function fill(guest: Guest, { processes, areas, largest }: Workload): Promise<void> {
  await guest.run('echo 1000000 > /proc/sys/vm/max_map_count');
  const program = await guest.spawn(`/lab/helper/many_vmas ${processes} ${areas} ${largest}`);
  const end = performance.now() + DUMP_MS;
  while (!program.output().includes('many_vmas ready')) {
    if (performance.now() > end) throw new Error(`many_vmas is not ready: ${program.output()}`);
    await delay(50);
  }
}

async function dump(qmp: QmpClient, path: string, format: string): Promise<string> {
  await qmp.execute('dump-guest-memory', { protocol: `file:${path}`, paging: false, format }, DUMP_MS);
  return path;
}

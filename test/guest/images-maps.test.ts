import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { execute } from '../../lab/execute.ts';
import { bootGuest, type Guest, type GuestOptions } from '../../lab/guest.ts';
import { kernelRow } from '../../lab/kernels.ts';
import { fetchFirmwareModule } from '../../lab/peers.ts';
import { QmpClient } from '../../src/machine/qemu/qmp.ts';
import { moveProgramHeaders } from '../support/images/program-headers.ts';
import { kernelsUnderTest } from '../support/kernels.ts';
import { runCli } from '../support/run-cli.ts';

/** A fraction of what the bench has. */
const WORKLOAD = '40 60 3000';
const DUMP_MS = 170_000;
/** What every process of the guest has in `/proc`; those without memory have nothing. The shell's loop forks no more than it must. */
const TRUTH = `cd /proc; for pid in [0-9]*; do
  read -r line < $pid/maps || continue
  read -r comm < $pid/comm
  echo "# $pid $comm"
  cat $pid/maps
done > /tmp/truth 2> /dev/null`;

/** How one guest's memory becomes a file. */
type Maker = (guest: StillGuest, file: string) => Promise<string | undefined>;

const dumped =
  (parameters: Record<string, unknown>): Maker =>
  async ({ qmp, formats }, file) => {
    if (parameters.format !== undefined && !formats.includes(String(parameters.format))) return undefined;
    await qmp.execute('dump-guest-memory', { protocol: `file:${file}`, ...parameters }, DUMP_MS);
    return file;
  };

const elf = dumped({ paging: false });

/** makedumpfile's own file of an ELF core; undefined where it does not take the kernel. */
const makedumpfile =
  (...options: string[]): Maker =>
  async (guest, file) => {
    const core = `${file}.core`;
    await elf(guest, core);
    chmodSync(core, 0o600);
    moveProgramHeaders(core);
    const { status } = await execute('makedumpfile', [...options, core, file]);
    rmSync(core);
    return status === 0 ? file : undefined;
  };

const FILTERED = 'makedumpfile, zstd, without caches and user pages';

const MAKERS: Readonly<Record<string, Maker>> = {
  'ELF core': elf,
  'ELF core with paging': dumped({ paging: true }),
  'kdump, zlib': dumped({ paging: false, format: 'kdump-zlib' }),
  'kdump, lzo': dumped({ paging: false, format: 'kdump-lzo' }),
  'kdump, snappy': dumped({ paging: false, format: 'kdump-snappy' }),
  'kdump, not flattened': dumped({ paging: false, format: 'kdump-raw-zlib' }),
  'makedumpfile, zlib': makedumpfile('-c', '-d', '0'),
  'makedumpfile, lzo, without pages of zeros': makedumpfile('-l', '-d', '1'),
  'makedumpfile, ELF, without pages of zeros': makedumpfile('-E', '-d', '1'),
  [FILTERED]: makedumpfile('-z', '-d', '31'),
  raw: async ({ qmp, size }, file) => {
    await qmp.execute('pmemsave', { val: 0, size, filename: file });
    return file;
  },
  'the RAM file itself': async ({ guest }) => guest.ramFile,
  'QEMU migration': async ({ qmp }, file) => {
    await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 });
    await qmp.execute('migrate', { uri: `exec:cat > ${file}` });
    for (;;) {
      const { status } = await qmp.query(v.object({ status: v.string() }), 'query-migrate');
      if (status === 'failed') throw new Error('the migration failed');
      if (status === 'completed') return file;
      await delay(50);
    }
  },
};
const MIGRATION = 'QEMU migration';

interface StillGuest {
  readonly guest: Guest;
  readonly qmp: QmpClient;
  readonly formats: readonly string[];
  /** Of RAM, in bytes. */
  readonly size: number;
  /** `/proc/PID/maps` of every process, by its heading `# PID COMM`. */
  readonly truth: ReadonlyMap<string, string>;
}

interface Case {
  readonly name: string;
  readonly options: GuestOptions;
  readonly makers: readonly string[];
  /** Whether dumps carry VMCOREINFO. */
  readonly vmcoreinfo?: boolean;
}

/** makedumpfile of Debian 12 takes pages that it should keep for unused ones in kernels after 6.1. */
function accepts(maker: string, kernel: string): boolean {
  return maker !== FILTERED || kernel === '5.10' || kernel === '6.1';
}

const CASES: readonly Case[] = [
  ...kernelsUnderTest().map((kernel) => ({
    name: `Linux ${kernel}`,
    options: { kernel, qemu: kernel.startsWith('5') || kernel === '6.1' ? 'system' : 'newest' } as const,
    // QEMU gives the machine's memory away by a migration, so it is the last.
    makers: [...Object.keys(MAKERS).filter((name) => name !== MIGRATION && accepts(name, kernel)), MIGRATION],
    vmcoreinfo: true,
  })),
  {
    name: 'Linux 6.1 without VMCOREINFO, 5 levels of page tables',
    options: { kernel: '6.1', qemu: 'newest', cpu: 'max' },
    makers: ['ELF core', 'kdump, zlib', 'raw'],
  },
  {
    name: 'Linux 6.1 with 5 GiB on q35',
    options: { kernel: '6.1', qemu: 'newest', memory: 5120 },
    makers: ['the RAM file itself', 'kdump, zlib'],
  },
  {
    name: 'Linux 6.1 with 5 GiB on pc',
    options: { kernel: '6.1', qemu: 'newest', memory: 5120, qemuArgs: ['-machine', 'pc'] },
    makers: ['the RAM file itself'],
  },
];

describe.each(CASES)('maps of an image of $name', ({ options, makers, vmcoreinfo = false }) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'underwatch-maps-'));
  let still: StillGuest;

  beforeAll(async () => {
    const device = vmcoreinfo ? ['-device', 'vmcoreinfo'] : [];
    const guest = await bootGuest({ ...options, qemuArgs: [...(options.qemuArgs ?? []), ...device] });
    if (vmcoreinfo) await loadFirmwareModule(guest);
    const program = await guest.spawn(`/lab/helper/many_vmas ${WORKLOAD}`);
    await vi.waitFor(() => expect(program.output()).toContain('many_vmas ready'), { timeout: 120_000 });
    await guest.run(TRUTH, { timeout: 120_000 });
    const truth = byProcess((await guest.readFile('/tmp/truth')).toString());
    const qmp = await QmpClient.connect(guest.qmpSocket);
    await qmp.execute('stop');
    const known = v.object({ formats: v.array(v.string()) });
    const { formats } = await qmp.query(known, 'query-dump-guest-memory-capability');
    still = { guest, qmp, formats, size: (options.memory ?? 256) * 2 ** 20, truth };
  });
  afterAll(async () => {
    await still?.qmp[Symbol.asyncDispose]();
    await still?.guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test.for(makers)('%s: every line is the guest’s own', async (name, { skip }) => {
    const file = await MAKERS[name]?.(still, path.join(folder, 'image'));
    if (file === undefined) return skip('it cannot be made here');
    const { stdout, stderr, status } = await runCli('maps', file);
    if (file !== still.guest.ramFile) rmSync(file, { force: true });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const found = byProcess(stdout);
    expect(found.size).toBeGreaterThan(40);
    for (const [process, rows] of found)
      expect(`${process}\n${rows}`).toBe(`${process}\n${still.truth.get(process)}`);
    const gone = [...still.truth.keys()].filter((process) => !found.has(process));
    // Only who wrote the truth has ended since.
    expect(gone.map((process) => process.split(' ')[2])).toEqual(['sh']);
  });
});

async function loadFirmwareModule(guest: Guest): Promise<void> {
  const module = await fetchFirmwareModule(guest.kernel, kernelRow(guest.kernel.id).release);
  await guest.writeFile('/tmp/qemu_fw_cfg.ko', await readFile(module));
  expect((await guest.run('insmod /tmp/qemu_fw_cfg.ko')).output).toBe('');
}

function byProcess(text: string): Map<string, string> {
  const processes = new Map<string, string>();
  for (const part of text.split(/^(?=# \d)/m)) {
    const end = part.indexOf('\n');
    processes.set(part.slice(0, end), part.slice(end + 1));
  }
  return processes;
}

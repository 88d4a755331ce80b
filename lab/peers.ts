import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cached, say } from './cache.ts';
import { exactDependencies, type PackageVersion, PrivateApt, type Release, unpack } from './debian/apt.ts';
import { LabError } from './errors.ts';
import { executeOrFail } from './execute.ts';
import type { Kernel } from './kernel-package.ts';

/** A tool that does on images what this project does, ready to be run on this machine. */
export interface Peer {
  /** Debian's version of it. */
  readonly version: string;
  readonly command: string;
  /** What comes before the tool's own arguments. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The peers that are measured: drgn, as `python3 -m drgn`, and crash. */
export interface Peers {
  readonly drgn: Peer;
  readonly crash: Peer;
}

const DRGN = { name: 'python3-drgn', version: '0.3.0-1' };
const CRASH = { name: 'crash', version: '9.0.2+~16.3-1' };
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
const LOADER = 'ld-linux-x86-64.so.2';

/**
 * Fetches drgn and crash of Debian sid with all that they depend on, C library included, into the cache: they run
 * through their own dynamic loader and nothing of them is installed. Throws {@link LabError} where they are gone.
 */
export async function fetchPeers(): Promise<Peers> {
  const folder = await cached(
    `peers/drgn-${DRGN.version}_crash-${CRASH.version}`.replaceAll('~', '-'),
    install,
  );
  const python = (await readdir(join(folder, 'usr/bin'))).find((name) => /^python3\.\d+$/.test(name));
  if (python === undefined) throw new LabError('the peers came without Python');
  const env = { PYTHONHOME: join(folder, 'usr'), PYTHONDONTWRITEBYTECODE: '1' };
  const loaded = (binary: string) => [
    '--library-path',
    join(folder, LIBRARIES),
    join(folder, 'usr/bin', binary),
  ];
  const command = join(folder, LIBRARIES, LOADER);
  return {
    drgn: { version: DRGN.version, command, args: [...loaded(python), '-m', 'drgn'], env },
    crash: { version: CRASH.version, command, args: loaded('crash'), env: {} },
  };
}

async function install(target: string): Promise<void> {
  say(`fetching drgn ${DRGN.version} and crash ${CRASH.version} of Debian sid with their libraries`);
  const apt = new PrivateApt('sid');
  const work = await mkdtemp(join(tmpdir(), 'underwatch-peers-'));
  try {
    for (const wanted of [DRGN, CRASH])
      for (const archive of await apt.downloadWithDependencies(wanted)) await unpack(archive, work);
    await apt.clean();
    await keepWhatRuns(work, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Copies the programs, the libraries and Python's own modules; documentation and data stay behind. */
async function keepWhatRuns(root: string, target: string): Promise<void> {
  await mkdir(join(target, 'usr/bin'), { recursive: true });
  const binaries = (await readdir(join(root, 'usr/bin'))).filter((name) =>
    /^(python3\.\d+|crash)$/.test(name),
  );
  for (const name of binaries) await cp(join(root, 'usr/bin', name), join(target, 'usr/bin', name));
  for (const name of await readdir(join(root, 'usr/lib'))) {
    if (!/^(python3|x86_64-linux-gnu$)/.test(name)) continue;
    await cp(join(root, 'usr/lib', name), join(target, 'usr/lib', name), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
}

/**
 * The kernel with its debugging information (`vmlinux`), which the peers cannot do without, from the package that
 * belongs to a guest's kernel. Throws {@link LabError} where Debian no longer has it.
 */
export async function fetchDebugKernel(kernel: Kernel, release: Release): Promise<string> {
  const [name = '', version = ''] = kernel.package.split(' ');
  const folder = await cached(`debug/${name}_${version}`, async (target) => {
    say(`fetching the debugging information of ${kernel.package}`);
    const archive = await new PrivateApt(release).download({ name: `${name}-dbg`, version }, target);
    await keepFile(archive, './usr/lib/debug/boot/vmlinux-*', join(target, 'vmlinux'));
  });
  return join(folder, 'vmlinux');
}

/**
 * The module by which a guest tells QEMU where its VMCOREINFO is, so that dumps carry it (`qemu_fw_cfg`; QEMU needs
 * `-device vmcoreinfo`). Throws {@link LabError} where Debian no longer has the kernel's package.
 */
export async function fetchFirmwareModule(kernel: Kernel, release: Release): Promise<string> {
  const [name = '', version = ''] = kernel.package.split(' ');
  const folder = await cached(`modules/${name}_${version}`, async (target) => {
    const file = join(target, 'qemu_fw_cfg.ko');
    await keepModule({ name, version }, new PrivateApt(release), file);
    if (await isCompressed(file)) {
      await rename(file, `${file}.xz`);
      await executeOrFail('busybox', ['unxz', `${file}.xz`]);
    }
  });
  return join(folder, 'qemu_fw_cfg.ko');
}

/** From the kernel's package, or from one that it depends on exactly, where newer kernels keep their modules. */
async function keepModule(first: PackageVersion, apt: PrivateApt, file: string): Promise<void> {
  const queue = [first];
  for (let wanted = queue.shift(); wanted; wanted = queue.shift()) {
    const archive = await apt.download(wanted, dirname(file));
    queue.push(...(await exactDependencies(archive)));
    const listing = await executeOrFail('dpkg-deb', ['--contents', archive]);
    if (listing.includes('/qemu_fw_cfg.ko')) return keepFile(archive, '*/qemu_fw_cfg.ko*', file);
    await rm(archive);
  }
  throw new LabError(`${first.name} ${first.version} has no module qemu_fw_cfg`);
}

async function isCompressed(file: string): Promise<boolean> {
  return (await readFile(file)).subarray(1, 4).toString('latin1') !== 'ELF';
}

/** Takes the one file that matches a pattern out of a `.deb` and removes that: the rest may be gigabytes. */
async function keepFile(archive: string, pattern: string, target: string): Promise<void> {
  const script = 'dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards "$2" > "$3"';
  await executeOrFail('sh', ['-c', script, 'sh', archive, pattern, target]);
  await rm(archive);
}

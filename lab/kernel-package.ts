import { copyFile, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { cached, cacheFolder, isCached, say } from './cache.ts';
import { exactDependencies, type PackageVersion, PrivateApt, unpack } from './debian/apt.ts';
import { LabError, messageOf } from './errors.ts';
import { executeOrFail } from './execute.ts';
import { candidatePackage, type KernelRow } from './kernels.ts';

/** A guest kernel on this machine's disk. */
export interface Kernel {
  readonly id: string;
  /** Name and version of the Debian package that it came from. */
  readonly package: string;
  /** Path of the compressed kernel. */
  readonly vmlinuz: string;
  /** Paths of the modules of the control channel's device, in the order in which they must be loaded. */
  readonly modules: readonly string[];
}

/** What virtio-serial needs, each after what it depends on. A kernel that has one built in has no such file. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_console',
];

/** How long a candidate that could not be fetched is not asked for again. */
const GONE_MS = 24 * 3600 * 1000;

/** Fetches the first of a row's candidates that is to be had, or takes it from the cache. Throws {@link LabError}. */
export async function fetchKernel(kernel: KernelRow): Promise<Kernel> {
  let complaint = 'it has no candidates';
  for (const candidate of kernel.candidates) {
    const wanted = candidatePackage(kernel, candidate);
    const name = `kernels/${wanted.name}_${wanted.version}`;
    const gone = join(cacheFolder(), `${name}.gone`);
    if (!(await isCached(name)) && (await isRecent(gone))) continue;
    try {
      const folder = await cached(name, (target) => install(kernel, wanted, target));
      return await describe(kernel.id, `${wanted.name} ${wanted.version}`, folder);
    } catch (error) {
      complaint = messageOf(error);
      say(`guest kernel ${kernel.id}: ${complaint}`);
      await writeFile(gone, '').catch(() => {});
    }
  }
  throw new LabError(`no package of guest kernel ${kernel.id} can be fetched: ${complaint}`);
}

/** Fetches one package (with its exact dependencies, where newer kernels keep image and modules) and keeps what a boot needs. */
async function install(kernel: KernelRow, wanted: PackageVersion, target: string): Promise<void> {
  say(`fetching guest kernel ${kernel.id}: ${wanted.name} ${wanted.version}`);
  const work = await mkdtemp(join(tmpdir(), 'underwatch-kernel-'));
  try {
    const root = join(work, 'root');
    await mkdir(root);
    await unpackWithExactDependencies(new PrivateApt(kernel.release), wanted, work, root);
    const files = await readdir(root, { recursive: true });
    const image = files.find((path) => /(^|\/)vmlinuz(-[^/]*)?$/.test(path));
    if (image === undefined) throw new LabError(`${wanted.name} ${wanted.version} holds no kernel image`);
    await copyFile(join(root, image), join(target, 'vmlinuz'));
    await mkdir(join(target, 'modules'));
    for (const module of MODULES) await keepModule(root, files, module, join(target, 'modules'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function unpackWithExactDependencies(
  apt: PrivateApt,
  first: PackageVersion,
  work: string,
  root: string,
) {
  const queue = [first];
  const seen = new Set<string>();
  for (let wanted = queue.shift(); wanted; wanted = queue.shift()) {
    if (seen.has(wanted.name)) continue;
    seen.add(wanted.name);
    const archive = await apt.download(wanted, work);
    await unpack(archive, root);
    queue.push(...(await exactDependencies(archive)));
    await rm(archive);
  }
}

async function keepModule(
  root: string,
  files: readonly string[],
  module: string,
  target: string,
): Promise<void> {
  const file = files.find(
    (path) => basename(path).replace(/\.ko(\.xz)?$/, '') === module && /\.ko(\.xz)?$/.test(path),
  );
  if (file === undefined) return;
  const copy = join(target, basename(file));
  await copyFile(join(root, file), copy);
  if (copy.endsWith('.xz')) await executeOrFail('busybox', ['unxz', copy]);
}

async function describe(id: string, packageName: string, folder: string): Promise<Kernel> {
  const present = new Set(await readdir(join(folder, 'modules')));
  const modules = MODULES.map((module) => `${module}.ko`).filter((name) => present.has(name));
  return {
    id,
    package: packageName,
    vmlinuz: join(folder, 'vmlinuz'),
    modules: modules.map((name) => join(folder, 'modules', name)),
  };
}

async function isRecent(file: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(file)).mtimeMs < GONE_MS;
  } catch {
    return false;
  }
}

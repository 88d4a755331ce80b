import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { cached, cacheFolder, say } from './cache.ts';
import { PrivateApt, unpack } from './debian/apt.ts';
import { LabError, messageOf } from './errors.ts';
import { executeOrFail } from './execute.ts';

/** Which QEMU: the machine's own, or the newest of Debian sid. */
export type QemuName = 'system' | 'newest';

/** A QEMU that can be started. */
export interface Qemu {
  readonly name: QemuName;
  /** As QEMU prints it, for example `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`. */
  readonly version: string;
  readonly command: string;
  /** What comes before QEMU's own options. */
  readonly args: readonly string[];
}

const PACKAGE = { name: 'qemu-system-x86', binary: 'usr/bin/qemu-system-x86_64' };
const known = new Map<QemuName, Promise<Qemu>>();

/** Finds or fetches a QEMU. Throws {@link LabError} if it cannot be had. */
export function findQemu(name: QemuName): Promise<Qemu> {
  let qemu = known.get(name);
  if (!qemu) {
    qemu = name === 'system' ? systemQemu() : newestQemu();
    known.set(name, qemu);
  }
  return qemu;
}

async function systemQemu(): Promise<Qemu> {
  return described('system', 'qemu-system-x86_64', []);
}

/**
 * sid's QEMU with its own C library, run through its own dynamic loader, so that nothing of it is installed. The version
 * is chosen once and stays until the cache is removed: `qemu/newest` names it.
 */
async function newestQemu(): Promise<Qemu> {
  const note = join(cacheFolder(), 'qemu', 'newest');
  let version = await readFile(note, 'utf8').catch(() => '');
  if (version === '') {
    version = await new PrivateApt('sid').candidate(PACKAGE.name);
    await mkdir(join(cacheFolder(), 'qemu'), { recursive: true });
    await writeFile(note, version);
  }
  const folder = await cached(`qemu/${version.replaceAll(/[^\w.+~-]/g, '_')}`, (target) =>
    install(version, target),
  );
  const libraries = join(folder, 'lib');
  return described('newest', join(libraries, 'ld-linux-x86-64.so.2'), [
    '--library-path',
    libraries,
    join(folder, 'qemu-system-x86_64'),
    '-L',
    join(folder, 'firmware'),
  ]);
}

async function install(version: string, target: string): Promise<void> {
  say(`fetching QEMU ${version} of Debian sid with its libraries`);
  const apt = new PrivateApt('sid');
  const work = await mkdtemp(join(tmpdir(), 'underwatch-qemu-'));
  try {
    for (const archive of await apt.downloadWithDependencies({ name: PACKAGE.name, version }))
      await unpack(archive, work);
    await apt.clean();
    await keepWhatRuns(work, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Copies the binary, the libraries that its loader resolves, and the firmware. */
async function keepWhatRuns(root: string, target: string): Promise<void> {
  const system = join(root, 'usr/lib/x86_64-linux-gnu');
  const loader = join(system, 'ld-linux-x86-64.so.2');
  const subfolders = (await readdir(system, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const path = [system, ...subfolders.map((entry) => join(system, entry.name))].join(':');
  const listing = await executeOrFail(loader, ['--library-path', path, '--list', join(root, PACKAGE.binary)]);
  await mkdir(join(target, 'lib'));
  for (const file of listing.matchAll(/=> (\S+) \(/g)) {
    const library = file[1] ?? '';
    if (library.startsWith(root)) await cp(await realpath(library), join(target, 'lib', basename(library)));
  }
  await cp(await realpath(loader), join(target, 'lib', basename(loader)));
  await cp(join(root, PACKAGE.binary), join(target, 'qemu-system-x86_64'));
  for (const folder of ['usr/share/qemu', 'usr/share/seabios']) {
    await cp(join(root, folder), join(target, 'firmware'), {
      recursive: true,
      dereference: true,
      filter: isFirmware,
    });
  }
}

/** Leaves out the firmware of other architectures, most of the size. */
function isFirmware(path: string): boolean {
  return !/\.(fd|dtb|elf|lid|img)$|edk2|openbios|skiboot|slof|u-boot|hppa|palcode/.test(basename(path));
}

async function described(name: QemuName, command: string, args: readonly string[]): Promise<Qemu> {
  try {
    const text = await executeOrFail(command, [...args, '--version']);
    return { name, version: /version (.*)/.exec(text)?.[1] ?? 'unknown', command, args };
  } catch (error) {
    throw new LabError(`the ${name} QEMU does not run: ${messageOf(error)}`);
  }
}

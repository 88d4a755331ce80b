import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, lock, say } from '../cache.ts';
import { LabError } from '../errors.ts';
import { execute, executeOrFail } from '../execute.ts';
import { chooseMirrors, formatDeb822, readMachineSources } from './sources.ts';

/** A Debian release that packages are fetched from. */
export type Release = 'bullseye' | 'bookworm' | 'trixie' | 'sid';

/** One exact version of one package. */
export interface PackageVersion {
  readonly name: string;
  readonly version: string;
}

const LIST_AGE_MS = 12 * 3600 * 1000;
/** Lists older than this may be why a download failed: fetch them again and retry once. */
const FRESH_AGE_MS = 600 * 1000;

/**
 * A private apt for one release: its own sources, lists, archives and (empty) dpkg status, in the cache folder. The
 * machine's apt configuration stays in force for how to reach mirrors (proxies, credentials, certificates) and its
 * keyrings for whom to trust; its sources, lists and packages are neither used nor changed. apt checks the signatures
 * and hashes of all it fetches.
 */
export class PrivateApt {
  readonly release: Release;
  readonly #folder: string;

  constructor(release: Release) {
    this.release = release;
    this.#folder = join(cacheFolder(), 'apt', release);
  }

  /** Downloads one exact version into `folder` and returns the path of the `.deb`. Throws {@link LabError} if it is gone. */
  async download(wanted: PackageVersion, folder: string): Promise<string> {
    const before = new Set(await readdir(folder));
    await this.#fetch(wanted, ['download', `${wanted.name}=${wanted.version}`], folder);
    const added = (await readdir(folder)).filter((name) => !before.has(name) && name.endsWith('.deb'));
    if (added[0] === undefined)
      throw new LabError(`apt fetched no archive of ${wanted.name} ${wanted.version}`);
    return join(folder, added[0]);
  }

  /** The version of `name` that apt would install from this release. */
  async candidate(name: string): Promise<string> {
    await this.#refreshed(LIST_AGE_MS);
    const { stdout } = await this.#run('apt-cache', ['policy', name]);
    const version = /^\s*Candidate: (\S+)$/m.exec(stdout)?.[1];
    if (version === undefined || version === '(none)')
      throw new LabError(`${this.release} has no package ${name}`);
    return version;
  }

  /** Downloads a package with all that it depends on, down to libc, and returns the paths of the `.deb` files. */
  async downloadWithDependencies(wanted: PackageVersion): Promise<string[]> {
    const archives = join(this.#folder, 'cache', 'archives');
    await rm(archives, { recursive: true, force: true });
    await mkdir(join(archives, 'partial'), { recursive: true });
    const args = [
      'install',
      '--download-only',
      '--no-install-recommends',
      '-y',
      `${wanted.name}=${wanted.version}`,
    ];
    await this.#fetch(wanted, args);
    const names = await readdir(archives);
    return names.filter((name) => name.endsWith('.deb')).map((name) => join(archives, name));
  }

  /** Removes downloaded archives; the lists stay. */
  async clean(): Promise<void> {
    await rm(join(this.#folder, 'cache'), { recursive: true, force: true });
  }

  async #fetch(wanted: PackageVersion, args: readonly string[], cwd?: string): Promise<void> {
    let complaint = '';
    for (const age of [LIST_AGE_MS, FRESH_AGE_MS]) {
      await this.#refreshed(age);
      const { status, stderr } = await this.#run('apt-get', args, cwd);
      if (status === 0) return;
      complaint = lastLine(stderr);
    }
    throw new LabError(`${wanted.name} ${wanted.version} cannot be fetched: ${complaint}`);
  }

  /** Makes sure that the lists are there and not older than `age` milliseconds. */
  async #refreshed(age: number): Promise<void> {
    await using _lock = await lock(join(cacheFolder(), 'locks', `apt_${this.release}`));
    const stamp = join(this.#folder, 'updated');
    if (Date.now() - (await modified(stamp)) < age) return;
    say(`fetching Debian's package lists of ${this.release}`);
    await this.#configure();
    const { status, stderr } = await this.#run('apt-get', ['update', '-q']);
    if (status !== 0)
      throw new LabError(`the package lists of ${this.release} cannot be fetched: ${lastLine(stderr)}`);
    await writeFile(stamp, '');
  }

  async #configure(): Promise<void> {
    const mirrors = chooseMirrors(readMachineSources());
    const parts = [formatDeb822(mirrors.archive, [this.release])];
    if (mirrors.security && this.release !== 'sid')
      parts.push(formatDeb822(mirrors.security, [`${this.release}-security`]));
    for (const folder of ['state/lists/partial', 'cache/archives/partial', 'sources']) {
      await mkdir(join(this.#folder, folder), { recursive: true });
    }
    await writeFile(join(this.#folder, 'sources', 'lab.sources'), parts.join('\n'));
    await writeFile(join(this.#folder, 'state', 'status'), '');
    await writeFile(join(this.#folder, 'apt.conf'), configuration(this.#folder));
  }

  #run(command: string, args: readonly string[], cwd?: string) {
    const options = cwd === undefined ? {} : { cwd };
    return execute(command, ['-c', join(this.#folder, 'apt.conf'), ...args], {
      ...options,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    });
  }
}

/** Unpacks a `.deb` below `folder`, without running anything of it. */
export async function unpack(archive: string, folder: string): Promise<void> {
  await executeOrFail('dpkg-deb', ['-x', archive, folder]);
}

/** The dependencies of a `.deb` on other packages of exactly one version (`name (= version)`). */
export async function exactDependencies(archive: string): Promise<PackageVersion[]> {
  const text = await executeOrFail('dpkg-deb', ['-f', archive, 'Depends']);
  return [...text.matchAll(/(?:^|,)\s*([a-z0-9][a-z0-9.+-]*) \(= ([^)\s]+)\)/g)].map((match) => ({
    name: match[1] ?? '',
    version: match[2] ?? '',
  }));
}

/** apt.conf(5): everything that apt writes to, and the hooks of the machine's own apt, which must not run. */
function configuration(folder: string): string {
  return `Dir::State "${folder}/state";
Dir::State::lists "lists";
Dir::State::status "${folder}/state/status";
Dir::Cache "${folder}/cache";
Dir::Cache::archives "archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "${folder}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "${folder}/state";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures { "amd64"; };
#clear APT::Default-Release;
Acquire::Languages "none";
APT::Sandbox::User "root";
Debug::NoLocking "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
`;
}

async function modified(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch {
    return 0;
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

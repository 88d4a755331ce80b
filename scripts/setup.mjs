// What must be there before anything of the project can run; each step knows whether it is missing and how to take it.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PINNED_NODE, projectEnvironment, ROOT } from './paths.mjs';

const BUILD_INPUTS = ['src', 'lab', 'bench', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
const BUILD_STAMP = join(ROOT, 'dist/.built');

/** The Debian packages that guests need, and how to see that one is there. */
const DEBIAN_PACKAGES = [
  { name: 'qemu-system-x86', isPresent: () => isCommand('qemu-system-x86_64') },
  { name: 'gcc', isPresent: () => isCommand('gcc') },
  { name: 'libc6-dev', isPresent: () => existsSync('/usr/lib/x86_64-linux-gnu/libc.a') },
  { name: 'busybox-static', isPresent: () => existsSync('/bin/busybox') && !isDynamic('/bin/busybox') },
];

/** The steps to take, in order; for guests also what a machine needs to build and boot them. */
export function missingSteps(forGuests) {
  const steps = [];
  if (!areNodePackagesPresent()) steps.push(installNodePackages);
  if (forGuests && missingDebianPackages().length > 0) steps.push(installDebianPackages);
  if (!isBuilt()) steps.push(build);
  return steps;
}

/** True if what npm says it installed is what the lock file asks for (packages for other platforms aside). */
function areNodePackagesPresent() {
  const wanted = readPackages('package-lock.json');
  const present = readPackages('node_modules/.package-lock.json');
  if (!wanted || !present || !existsSync(PINNED_NODE)) return false;
  const isSame = (path) =>
    wanted[path]?.version === present[path]?.version && wanted[path]?.integrity === present[path]?.integrity;
  const required = Object.keys(wanted).filter((path) => path !== '' && !wanted[path].optional);
  if (leftOut().length > 0) return false;
  return [...required, ...Object.keys(present)].every(isSame);
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(ROOT, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/**
 * An npm that an old Node runs leaves out optional packages that want a newer one, among them the native parts of the
 * test runner. So the first install brings the pinned Node, and where the two differ that one installs again.
 */
function installNodePackages() {
  say('installing the Node packages of package-lock.json');
  runNpm('npm', []);
  if (leftOut().length === 0) return;
  say('installing them again under the pinned Node');
  const folder = mkdtempSync(join(tmpdir(), 'underwatch-node-'));
  try {
    const node = join(folder, 'node');
    copyFileSync(PINNED_NODE, node);
    runNpm(node, [realpathSync(commandPath('npm') ?? 'npm')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function runNpm(command, args) {
  const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  runQuietly(command, [...args, ...install], /^npm (?:error|ERR!) (?!code)/);
}

/** Optional packages for this very platform that are not installed. */
function leftOut() {
  const present = readPackages('node_modules/.package-lock.json') ?? {};
  return Object.entries(readPackages('package-lock.json') ?? {})
    .filter(([path, { optional, os, cpu, libc = ['glibc'] }]) => {
      const isForHere =
        os?.includes(process.platform) && cpu?.includes(process.arch) && libc.includes('glibc');
      return optional && isForHere && !present[path];
    })
    .map(([path]) => path);
}

function missingDebianPackages() {
  return DEBIAN_PACKAGES.filter(({ isPresent }) => !isPresent()).map(({ name }) => name);
}

function installDebianPackages() {
  const names = missingDebianPackages();
  const install = ['install', '-y', '--no-install-recommends', ...names];
  if (!isCommand('apt-get'))
    throw new Error(`this machine lacks ${names.join(', ')} and has no apt-get to install them`);
  if (process.getuid() !== 0)
    throw new Error(`Debian packages are missing; run: sudo apt-get ${install.join(' ')}`);
  say(`installing the Debian packages ${names.join(', ')}`);
  const lock = ['-o', 'DPkg::Lock::Timeout=600'];
  runQuietly('apt-get', [...lock, 'update', '-q'], /^E:/);
  runQuietly('apt-get', [...lock, ...install, '-q'], /^E:/);
  const still = missingDebianPackages();
  if (still.length > 0)
    throw new Error(`${still.join(', ')}: installed, but what the guests need of it is not there`);
}

function isBuilt() {
  try {
    return readFileSync(BUILD_STAMP, 'utf8') === describeInputs();
  } catch {
    return false;
  }
}

function build() {
  say('building');
  const inputs = describeInputs();
  runQuietly(
    PINNED_NODE,
    [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
    /error TS/,
  );
  writeFileSync(BUILD_STAMP, inputs);
}

/** Path, size and time of every file that the build reads. */
function describeInputs() {
  const files = BUILD_INPUTS.flatMap((path) => listFiles(path)).filter((path) => /\.(ts|json)$/.test(path));
  const describe = (path) => {
    const { size, mtimeMs } = statSync(join(ROOT, path));
    return `${path} ${size} ${mtimeMs}`;
  };
  return `${files.sort().map(describe).join('\n')}\n`;
}

function listFiles(path) {
  if (!existsSync(join(ROOT, path))) return [];
  if (!statSync(join(ROOT, path)).isDirectory()) return [path];
  return readdirSync(join(ROOT, path)).flatMap((name) => listFiles(join(path, name)));
}

function isCommand(name) {
  return commandPath(name) !== undefined;
}

function commandPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** True if an ELF file names a dynamic loader, whose path stands near its start. */
function isDynamic(path) {
  const start = Buffer.alloc(4096);
  const file = openSync(path, 'r');
  readSync(file, start, 0, start.length, 0);
  closeSync(file);
  return start.includes('/ld-linux');
}

/** Runs a command without showing its output; throws one sentence with its first complaint if it fails. */
function runQuietly(command, args, complaint) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: ROOT,
    env: projectEnvironment({ DEBIAN_FRONTEND: 'noninteractive' }),
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (error) throw new Error(`cannot run ${command}: ${error.message}`);
  if (status === 0) return;
  const lines = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '');
  const words = [command, ...args].map((word) => word.replace(`${ROOT}/`, ''));
  const reason = lines.find((line) => complaint.test(line)) ?? lines.at(-1) ?? `status ${status}`;
  throw new Error(`${words.join(' ')}: ${reason}`);
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    for (const step of missingSteps(process.argv[2] === 'guests')) step();
  } catch (error) {
    say(`setting up failed: ${error.message}`);
    process.exitCode = 3;
  }
}

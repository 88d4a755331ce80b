import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchPeers, type Peers } from '../lab/peers.ts';
import { type Bench, type Claim, median } from './claim.ts';
import { PeerListers, underwatch } from './images/listers.ts';
import { type Lister, outputOf, peakAnonymousMemory, wallTime } from './images/measure.ts';
import { rewalkTimes } from './images/rewalk.ts';
import { makeImages, type Workload } from './images/workload.ts';

const MANY_PROCESSES: Workload = { processes: 200, areas: 100, largest: 10_000 };
const ONE_LARGE: Workload = { processes: 20, areas: 100, largest: 300_000 };
const ROUNDS = 9;
/** crash takes seconds, nearly all of them to start. */
const CRASH_ROUNDS = 3;

/**
 * Listing every VMA of a memory image, against drgn and crash on the same image, each as a whole process and in turns;
 * the peers get their debugging information for free. And walking them again in one process, against drgn's loop.
 */
export const bench: Bench = async (report) => {
  const folder = await mkdtemp(join(tmpdir(), 'underwatch-bench-'));
  try {
    const peers = await fetchPeers();
    report(`drgn ${peers.drgn.version}, crash ${peers.crash.version}, Node ${process.version}`);
    return [
      ...(await manyProcesses(folder, peers, report)),
      ...(await oneLargeProcess(folder, peers, report)),
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

type Report = (line: string) => void;

async function manyProcesses(folder: string, peers: Peers, report: Report): Promise<Claim[]> {
  const images = await makeImages(folder, MANY_PROCESSES);
  const listers = new PeerListers(peers, images, folder);
  report(`${await checkListings(images.elf, listers)} VMAs in ${MANY_PROCESSES.processes} processes`);
  const times = await inTurns(
    {
      elf: underwatch(images.elf),
      kdump: underwatch(images.kdump),
      drgnElf: listers.drgn(images.elf),
      drgnKdump: listers.drgn(images.kdump),
    },
    ROUNDS,
  );
  const crash = await inTurns(
    { elf: underwatch(images.elf), crash: listers.crash(images.elf) },
    CRASH_ROUNDS,
  );
  report(`whole process, ms: ${described(times)}; crash ${crash.crash.toFixed(0)}`);
  return [
    atMost('elf_over_drgn', times.elf / times.drgnElf, 0.15),
    atMost('kdump_over_drgn', times.kdump / times.drgnKdump, 0.5),
    atMost('elf_over_crash', crash.elf / crash.crash, 0.05),
    await memoryClaim('elf', images.elf, listers, report),
    await memoryClaim('kdump', images.kdump, listers, report),
    await rewalkClaim('elf', images.elf, listers, 1 / 200, report),
    await rewalkClaim('kdump', images.kdump, listers, 1 / 40, report),
  ];
}

async function oneLargeProcess(folder: string, peers: Peers, report: Report): Promise<Claim[]> {
  const { kdump, ...images } = await makeImages(folder, ONE_LARGE);
  const listers = new PeerListers(peers, { ...images, kdump }, folder);
  report(`${await checkListings(kdump, listers)} VMAs, ${ONE_LARGE.largest} of them in one process`);
  const times = await inTurns({ kdump: underwatch(kdump), drgnKdump: listers.drgn(kdump) }, ROUNDS);
  report(`whole process, ms: ${described(times)}`);
  return [
    atMost('large_kdump_over_drgn', times.kdump / times.drgnKdump, 0.45),
    await memoryClaim('large_kdump', kdump, listers, report),
  ];
}

/** Medians of the wall times of several commands, run one after another in every round. */
async function inTurns<Name extends string>(
  listers: Readonly<Record<Name, Lister>>,
  rounds: number,
): Promise<Record<Name, number>> {
  const names = Object.keys(listers) as Name[];
  const times = new Map<Name, number[]>(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const milliseconds = await wallTime(listers[name]);
      // The first round brings files into the page cache.
      if (round >= 0) times.get(name)?.push(milliseconds);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times.get(name) ?? [])])) as Record<
    Name,
    number
  >;
}

/** Both list the same areas, or the times mean nothing. Gives their number. */
async function checkListings(image: string, listers: PeerListers): Promise<number> {
  const theirs = (await outputOf(listers.drgn(image))).trimEnd().split('\n').map(areaOf);
  const ours = (await outputOf(underwatch(image)))
    .trimEnd()
    .split('\n')
    .map((line): { pid: number; start: string; end: string; path: string } => JSON.parse(line))
    .filter(({ path }) => path !== '[vsyscall]')
    .map(({ pid, start, end }) => `${pid} ${start.slice(2)}-${end.slice(2)}`);
  if (ours.join() !== theirs.join()) throw new Error('drgn and this project do not list the same areas');
  return ours.length;
}

function areaOf(line: string): string {
  return line.split(' ').slice(0, 2).join(' ');
}

async function memoryClaim(
  name: string,
  image: string,
  listers: PeerListers,
  report: Report,
): Promise<Claim> {
  const ours = await peakAnonymousMemory(underwatch(image));
  const theirs = await peakAnonymousMemory(listers.drgn(image));
  report(`peak anonymous memory, ${name}, MiB: ${ours.toFixed(0)}, drgn ${theirs.toFixed(0)}`);
  return atMost(`${name}_memory_over_drgn`, ours / theirs, 1);
}

async function rewalkClaim(
  name: string,
  image: string,
  listers: PeerListers,
  bound: number,
  report: Report,
): Promise<Claim> {
  const ours = await rewalkTimes(image);
  const theirs = (await outputOf(listers.drgnLoop(image)))
    .trim()
    .split('\n')
    .map((seconds) => Number(seconds) * 1000);
  const again = await rewalkTimes(image);
  const [a, b] = [median([...ours, ...again]), median(theirs)];
  report(`walking again, ${name}, ms: ${a.toFixed(2)}, drgn ${b.toFixed(1)}`);
  return atMost(`${name}_rewalk_over_drgn`, a / b, bound);
}

function atMost(metric: string, value: number, bound: number): Claim {
  return { metric, value, bound, kind: 'at most' };
}

function described(times: Readonly<Record<string, number>>): string {
  return Object.entries(times)
    .map(([name, milliseconds]) => `${name} ${milliseconds.toFixed(0)}`)
    .join(', ');
}

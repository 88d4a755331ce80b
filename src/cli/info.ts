import { Command } from 'commander';
import { discoveryMilliseconds } from '../linux/kernel.ts';
import { type KernelFacts, kernelFacts } from '../linux/kernel-facts.ts';
import { hex } from '../memory/address.ts';
import { type OpenOptions, openTarget, type Target } from '../target.ts';
import { formatOption, locateOption, ramLayoutOption, targetArgument } from './options.ts';
import { type Format, printable, printObject, type Row } from './output.ts';

type InfoOptions = { format: Format } & OpenOptions;

/** `underwatch info TARGET`: the kernel that was found, and how. */
export function infoCommand(): Command {
  return new Command('info')
    .description('show the kernel that was found, and how')
    .addArgument(targetArgument())
    .addOption(locateOption())
    .addOption(ramLayoutOption())
    .addOption(formatOption())
    .action(async (name: string, { format, ...options }: InfoOptions) => {
      await using target = await openTarget(name, options);
      const facts = kernelFacts(target.kernel);
      await printObject(asObject(target, facts), asLines(target, facts), format);
    });
}

function asObject({ machine, image, kernel }: Target, facts: KernelFacts): Row {
  return {
    target: machine.name,
    hypervisor: machine.live?.hypervisor ?? null,
    image: image === undefined ? null : { format: image.format, notes: image.notes },
    release: facts.release,
    build: facts.build,
    banner: facts.banner,
    buildId: facts.buildId ?? null,
    hostName: facts.hostName ?? null,
    bootId: facts.bootId ?? null,
    uptime: facts.uptime ?? null,
    guestTime: facts.guestTime === undefined ? null : new Date(facts.guestTime).toISOString(),
    cpus: facts.onlineCpus ?? null,
    memoryBytes: facts.memoryBytes,
    memoryRanges: facts.memoryRanges.map(({ start, size }) => ({ start: hex(start), size })),
    textBase: hex(facts.textBase),
    textPhysical: hex(facts.textPhysical),
    kaslrSlide: hex(facts.kaslrSlide),
    rootTable: hex(facts.rootTable),
    pagingLevels: facts.pagingLevels,
    kpti: facts.kpti,
    directMapBase: facts.directMapBase === undefined ? null : hex(facts.directMapBase),
    symbols: { count: facts.symbolCount, layout: facts.symbolLayout },
    btf: { bytes: facts.typeBytes ?? null, types: facts.typeCount },
    found: {
      method: kernel.found.method,
      milliseconds: rounded(discoveryMilliseconds(kernel.found)),
      steps: kernel.found.steps.map(({ name, milliseconds }) => ({
        name,
        milliseconds: rounded(milliseconds),
      })),
    },
  };
}

function asLines({ machine, image, kernel }: Target, facts: KernelFacts): [string, string][] {
  const { method, steps } = kernel.found;
  const timed = steps.map(({ name, milliseconds }) => `${name} ${milliseconds.toFixed(0)} ms`).join(', ');
  return [
    ['target', machine.name],
    image === undefined ? ['hypervisor', machine.live?.hypervisor ?? 'unknown'] : ['image', image.format],
    ...(image?.notes ?? []).map((note): [string, string] => ['note', printable(note)]),
    ['kernel', `${printable(facts.release)} ${printable(facts.build)}`],
    ['host name', printable(facts.hostName ?? 'unknown')],
    ['uptime', facts.uptime === undefined ? 'unknown' : `${facts.uptime.toFixed(0)} s`],
    ['vCPUs', String(facts.onlineCpus ?? 'unknown')],
    ['memory', `${(facts.memoryBytes / 2 ** 20).toFixed(0)} MiB`],
    [
      'text',
      `${hex(facts.textBase)} (physical ${hex(facts.textPhysical)}, KASLR slide ${hex(facts.kaslrSlide)})`,
    ],
    [
      'paging',
      `${facts.pagingLevels} levels, KPTI ${facts.kpti ? 'on' : 'off'}, root ${hex(facts.rootTable)}`,
    ],
    ['direct map', facts.directMapBase === undefined ? 'unknown' : hex(facts.directMapBase)],
    ['symbols', `${facts.symbolCount} (kallsyms: ${facts.symbolLayout})`],
    ['types', `${facts.typeCount} (BTF${facts.typeBytes === undefined ? '' : `, ${facts.typeBytes} bytes`})`],
    ['found by', `${method} in ${discoveryMilliseconds(kernel.found).toFixed(0)} ms (${timed})`],
  ];
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

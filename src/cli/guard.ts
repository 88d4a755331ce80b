import { Command, InvalidArgumentError, Option } from 'commander';
import type { GuardEvent } from '../alerts/event.ts';
import { type EventSink, StreamSink } from '../alerts/sink.ts';
import { YaraScanner } from '../analysis/rules/yara.ts';
import { Guard, type GuardEnd } from '../guard/guard.ts';
import { loadPolicy } from '../guard/policy-file.ts';
import { openTarget } from '../target.ts';
import { EXIT } from './exit-status.ts';
import { Interruption } from './interruption.ts';
import { note } from './notes.ts';
import { targetArgument } from './options.ts';

type GuardFormat = 'table' | 'json' | 'ndjson';
type GuardOptions = {
  policy: string;
  rules?: string;
  events: readonly string[];
  for?: number;
  format: GuardFormat;
};

/** Kinds of events that are left out unless they are asked for. */
const OPTIONAL_EVENTS = ['process'] as const;

/** `underwatch guard TARGET --policy F`: protects until it is told to stop. */
export function guardCommand(): Command {
  return new Command('guard')
    .description('protect the processes that a policy names; a line an event')
    .addArgument(targetArgument())
    .requiredOption('--policy <FILE>', 'which processes, and what to do (YAML)')
    .option('--rules <FILE>', 'match YARA rules on the code that is judged')
    .addOption(
      new Option('--events <KINDS>', `also report these, separated by commas: ${OPTIONAL_EVENTS.join(', ')}`)
        .argParser(parseEvents)
        .default([], 'none'),
    )
    .addOption(
      new Option('--transport <NAME>', 'how traps reach the engine')
        .choices(['auto', 'breakpoint'])
        .default('auto'),
    )
    .option('--for <SECONDS>', 'stop by itself after that time', parseSeconds)
    .addOption(
      new Option('-f, --format <FORMAT>', 'a line for people, or a JSON object a line')
        .choices(['table', 'json', 'ndjson'])
        .default('table'),
    )
    .addHelpText('after', '\nStop it with Ctrl-C: the guest gets all of its own page protections back first.')
    .action(async (name: string, options: GuardOptions) => {
      const policy = await loadPolicy(options.policy);
      const rules = options.rules === undefined ? {} : { rules: YaraScanner.open(options.rules) };
      using interruption = new Interruption();
      await using target = await openTarget(name);
      const { machine, kernel } = target;
      const sink = sinkFor(options);
      await using guard = await Guard.start({ machine, kernel, policy, sink, ...rules });
      await Promise.race([guard.ended, interruption.happened, timeUp(options.for)]);
      process.exitCode = exitStatus(await guard.stop(), interruption);
    });
}

function exitStatus(end: GuardEnd, interruption: Interruption): number {
  if (interruption.status !== undefined) return interruption.status;
  if (end.reason === 'lost') {
    note('the machine went away');
    return EXIT.lost;
  }
  if (end.reason === 'failed') return EXIT.notUnderstood;
  return end.counters.alerts > 0 ? EXIT.detections : EXIT.clean;
}

/** Lines on stdout, without the kinds that were not asked for. */
function sinkFor({ format, events }: GuardOptions): EventSink {
  const text = format === 'table';
  const colour = text && process.stdout.isTTY && process.env.NO_COLOR === undefined;
  const lines = new StreamSink(process.stdout, text ? 'text' : 'ndjson', colour);
  return {
    emit(event) {
      if (isWanted(event, events)) lines.emit(event);
    },
  };
}

function isWanted({ type }: GuardEvent, events: readonly string[]): boolean {
  const [kind = ''] = type.split('.');
  return events.includes(kind) || !OPTIONAL_EVENTS.some((optional) => optional === kind);
}

function timeUp(seconds: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (seconds !== undefined) setTimeout(resolve, seconds * 1000).unref();
  });
}

function parseEvents(text: string): string[] {
  const kinds = text.split(',').map((kind) => kind.trim());
  const unknown = kinds.find((kind) => !OPTIONAL_EVENTS.some((known) => known === kind));
  if (unknown !== undefined) throw new InvalidArgumentError(`there are no events '${unknown}'.`);
  return kinds;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 2_000_000))
    throw new InvalidArgumentError(`a time is in seconds, not '${text}'.`);
  return seconds;
}

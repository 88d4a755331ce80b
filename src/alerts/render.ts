import { styleText } from 'node:util';
import type { CodeReport } from './code-report.ts';
import type { Alert, EventProcess, GuardEvent } from './event.ts';

/** How events are written for people. */
export interface RenderOptions {
  readonly colour: boolean;
}

type Style = Parameters<typeof styleText>[0];

/** One line for people, without the newline; text that comes from the guest cannot control the terminal. */
export function renderLine(event: GuardEvent, { colour }: RenderOptions): string {
  const [style, label, text] = describe(event);
  const time = event.time.slice(11, 23);
  const head = `${time}  ${label.padEnd(9)}`;
  return `${colour ? styleText(style, head, { validateStream: false }) : head} ${printable(text)}`;
}

/** One JSON object, without the newline. */
export function renderJson(event: GuardEvent): string {
  return JSON.stringify(event);
}

function describe(event: GuardEvent): [Style, string, string] {
  switch (event.type) {
    case 'guard.started':
      return [
        'cyan',
        'guarding',
        `${event.machine}: Linux ${event.kernel} on ${event.hypervisor}; ${plural(event.adopted, 'process', 'processes')} adopted, ${event.hooks.length} hooks by ${event.transport}, machine stopped for ${round(event.stoppedMs)} ms`,
      ];
    case 'process.protected':
      return ['green', 'protected', `${processText(event.process)} (${event.how}, ${event.action})`];
    case 'process.released':
      return [
        'green',
        'released',
        `${event.comm}[${event.tgid}], ${plural(event.examined, 'page')} examined`,
      ];
    case 'alert':
      return ['red', event.action.toUpperCase(), alertText(event)];
    case 'problem':
      return [
        'yellow',
        'problem',
        `${event.where}: ${event.message}${event.address === null ? '' : ` (at ${event.address})`}`,
      ];
    case 'guard.stopped':
      return ['cyan', 'stopped', stoppedText(event)];
  }
}

function alertText(alert: Alert): string {
  const checks = alert.findings.map((finding) => (finding.certain ? finding.check : `${finding.check}?`));
  const first = alert.code.instructions[0]?.text ?? 'unreadable code';
  const where = `${alert.address} in ${alert.vma.kind} ${alert.vma.perms} ${alert.vma.start}-${alert.vma.end}`;
  const code = alert.analysis === null ? first : analysisText(alert.analysis);
  return `${processText(alert.process)} at ${where}: ${checks.join(', ')}; ${code} (${round(alert.durationMs)} ms)`;
}

/** The verdict and what speaks loudest for it. */
function analysisText({ verdict, chains, traits, syscalls }: CodeReport): string {
  const found =
    chains.length > 0 ? chains.map(({ name, text }) => `${name}: ${text}`) : traits.map(({ name }) => name);
  const last = chains.length > 0 ? undefined : syscalls.at(-1)?.text;
  return [verdict, ...found, ...(last === undefined ? [] : [last])].join(', ');
}

function stoppedText(event: Extract<GuardEvent, { type: 'guard.stopped' }>): string {
  const { counters, restored } = event;
  const why = { asked: '', lost: 'the machine went away; ', failed: 'the guard failed; ' }[event.reason];
  const gaps = restored.complete ? '' : ', not all could be reached';
  return `${why}${plural(counters.alerts, 'alert')}, ${counters.killed} killed, ${plural(counters.examined, 'fetch', 'fetches')} examined, ${plural(counters.traps, 'trap')}; ${plural(restored.vmas, 'VMA')} and ${plural(restored.pages, 'page')} given back${gaps}`;
}

function processText(process: EventProcess): string {
  const thread = process.pid === process.tgid ? '' : `/${process.pid}`;
  const user = process.uid === null ? '' : ` uid ${process.uid}`;
  return `${process.comm}[${process.tgid}${thread}]${user} ${process.path ?? ''}`.trimEnd();
}

function plural(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

function round(milliseconds: number): string {
  return milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0);
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}

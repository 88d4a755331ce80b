import { Command, InvalidArgumentError, Option } from 'commander';
import type { CodeReport } from '../alerts/code-report.ts';
import { analyze, readCode } from '../analysis/analyze.ts';
import { YaraScanner } from '../analysis/rules/yara.ts';
import { traceCode } from '../analysis/trace.ts';
import { EXIT } from './exit-status.ts';
import { formatOption } from './options.ts';
import { type Format, printObject, type Row, TextOutput } from './output.ts';

interface AnalyzeCommandOptions {
  readonly bits: '64' | '32';
  readonly maxInstructions?: number;
  readonly stopAtSyscall?: boolean;
  readonly trace?: boolean;
  readonly rules?: string;
  readonly format: Format;
}

/** `underwatch analyze FILE`: judges raw code bytes. */
export function analyzeCommand(): Command {
  return new Command('analyze')
    .description('say what raw code bytes would do if they ran, by the same judge as a live trap')
    .argument('FILE', 'a file of code bytes')
    .addOption(new Option('--bits <BITS>', 'mode of the code').choices(['64', '32']).default('64'))
    .addOption(
      new Option('--max-instructions <N>', 'how many instructions to run at most').argParser(parseCount),
    )
    .option('--stop-at-syscall', 'end at the first system call, and tell traits as HVMI does')
    .option('--rules <FILE>', 'match YARA rules too')
    .option('--trace', 'show every instruction on standard error')
    .addOption(formatOption())
    .action(run);
}

async function run(path: string, options: AnalyzeCommandOptions): Promise<void> {
  const bits = options.bits === '32' ? 32 : 64;
  const code = readCode(path);
  const chosen = {
    bits,
    stopAtSystemCall: options.stopAtSyscall === true,
    ...(options.maxInstructions === undefined ? {} : { maxInstructions: options.maxInstructions }),
    ...(options.rules === undefined ? {} : { rules: YaraScanner.open(options.rules) }),
  } as const;
  if (options.trace === true) {
    const output = new TextOutput(process.stderr);
    for (const line of traceCode(code, chosen)) await output.line(line);
    await output.flush();
  }
  const report = await analyze(code, chosen);
  await printObject(asObject(report), asLines(report), options.format);
  process.exitCode = report.verdict === 'benign' ? EXIT.clean : EXIT.detections;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || !Number.isSafeInteger(count)) {
    throw new InvalidArgumentError(`the number of instructions must be at least 1, not '${text}'.`);
  }
  return count;
}

/** The report as rows take it: plain values only, fields without a value left out. */
function asObject(report: CodeReport): Row {
  return JSON.parse(JSON.stringify(report));
}

function asLines(report: CodeReport): [string, string][] {
  const lines: [string, string][] = [
    ['verdict', report.verdict],
    ['mode', `${report.mode} bits`],
    ['ran', `${report.instructions} instructions in ${report.milliseconds} ms, ${report.stop}`],
  ];
  for (const reason of report.reasons) lines.push(['reason', reason]);
  for (const call of report.syscalls) lines.push(['system call', call.text]);
  if (report.strings.length > 0)
    lines.push(['strings', report.strings.map((text) => JSON.stringify(text)).join(' ')]);
  if (report.payload !== undefined) {
    lines.push(['payload', `${report.payload.bytes.length / 2} bytes decoded at ${report.payload.address}`]);
  }
  return lines;
}

import { Command, CommanderError } from 'commander';
import { UnderwatchError } from '../errors.ts';
import { analyzeCommand } from './analyze.ts';
import { demoCommand } from './demo.ts';
import { EXIT, exitStatus } from './exit-status.ts';
import { guardCommand } from './guard.ts';
import { infoCommand } from './info.ts';
import { mapsCommand } from './maps.ts';
import { policyCommand } from './policy.ts';
import { psCommand } from './ps.ts';
import { structCommand } from './struct.ts';
import { symbolsCommand } from './symbols.ts';
import { version } from './version.ts';
import { vmaCommand } from './vma.ts';

const EPILOGUE = `
TARGET is qemu:PATH with PATH the QMP socket of a running QEMU, or the path of a memory image.
Nothing else is needed: no agent, no profile, no debug files.

Exit status: 0 clean, 1 detections, 2 wrong usage, 3 target not understood, 4 target lost.

Examples:
  underwatch demo
  underwatch info qemu:/run/vm/qmp.sock
  underwatch maps qemu:/run/vm/qmp.sock --pid 1
  underwatch guard qemu:/run/vm/qmp.sock --policy policy.yaml`;

/** Runs the command line and gives its exit status; prints at most one sentence about what went wrong. */
export async function run(args: readonly string[]): Promise<number> {
  process.stdout.on('error', leaveQuietlyWhenReaderLeft);
  try {
    await buildProgram().parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.clean);
  } catch (error) {
    return report(error);
  }
}

function buildProgram(): Command {
  const program = new Command('underwatch')
    .description(
      'Protects the memory of processes inside a Linux virtual machine, from outside that machine.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', EPILOGUE);
  const commands = [
    demoCommand(),
    infoCommand(),
    psCommand(),
    mapsCommand(),
    vmaCommand(),
    symbolsCommand(),
    structCommand(),
    guardCommand(),
    policyCommand(),
    analyzeCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...commands, ...commands.flatMap((one) => one.commands)]) {
    command
      .exitOverride()
      .configureHelp({ sortOptions: false })
      .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'underwatch: ')) });
  }
  return program;
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.clean : EXIT.usage;
  if (error instanceof UnderwatchError) process.stderr.write(`underwatch: ${error.message}\n`);
  else process.stderr.write(`underwatch: ${unforeseen(error)}\n`);
  if (process.env.UNDERWATCH_DEBUG !== undefined) console.error(error);
  return exitStatus(error);
}

function unforeseen(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `internal error: ${message} (set UNDERWATCH_DEBUG=1 to see where)`;
}

function leaveQuietlyWhenReaderLeft(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(EXIT.clean);
  throw error;
}

import { Command, CommanderError } from 'commander';
import { UnderwatchError } from '../errors.ts';
import { EXIT, exitStatus } from './exit-status.ts';
import { version } from './version.ts';

/** Every command, in the order of the help; each is loaded only when it is wanted. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.ts')).demoCommand(),
  info: async () => (await import('./info.ts')).infoCommand(),
  ps: async () => (await import('./ps.ts')).psCommand(),
  maps: async () => (await import('./maps.ts')).mapsCommand(),
  vma: async () => (await import('./vma.ts')).vmaCommand(),
  symbols: async () => (await import('./symbols.ts')).symbolsCommand(),
  struct: async () => (await import('./struct.ts')).structCommand(),
  guard: async () => (await import('./guard.ts')).guardCommand(),
  analyze: async () => (await import('./analyze.ts')).analyzeCommand(),
};

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
    const program = await buildProgram(args[0]);
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? EXIT.clean);
  } catch (error) {
    return report(error);
  }
}

async function buildProgram(wanted: string | undefined): Promise<Command> {
  const program = new Command('underwatch')
    .description(
      'Protects the memory of processes inside a Linux virtual machine, from outside that machine.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', EPILOGUE);
  const one = wanted === undefined ? undefined : COMMANDS[wanted];
  const loaders = one === undefined ? Object.values(COMMANDS) : [one];
  const commands = await Promise.all(loaders.map((load) => load()));
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...commands]) command.exitOverride().configureOutput({ outputError });
  return program;
}

function outputError(text: string, write: (text: string) => void): void {
  write(text.replace(/^error: /, 'underwatch: '));
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.clean : EXIT.usage;
  const message = error instanceof UnderwatchError ? error.message : unforeseen(error);
  process.stderr.write(`underwatch: ${message}\n`);
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

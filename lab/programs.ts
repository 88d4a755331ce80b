/** A program that the guests run. */
export interface GuestProgram {
  readonly name: string;
  /** A helper is started by another program, never by itself. */
  readonly kind: 'attack' | 'benign' | 'helper';
  /** What it does, for people. */
  readonly summary: string;
  /** Flags of the compiler on top of the common ones. */
  readonly flags: readonly string[];
  /** Arguments as a shell would read them. */
  readonly args: string;
  /** A whole line that it prints if, and only if, it achieves what it is for. */
  readonly achieves: string;
  /** Its exit status then. */
  readonly status: number;
}

/** A program's source, relative to `lab/programs`. */
export function sourceOf(program: GuestProgram): string {
  return `${program.kind}/${program.name}.c`;
}

/** Where a program is in the guest. */
export function guestPath(program: GuestProgram): string {
  return `/lab/${program.kind}/${program.name}`;
}

/** The shell command that runs a program in the guest. */
export function commandOf(program: GuestProgram): string {
  return `${guestPath(program)} ${program.args}`.trimEnd();
}

/** A program by its name. */
export function programNamed(name: string): GuestProgram {
  const found = PROGRAMS.find((program) => program.name === name);
  if (!found) throw new RangeError(`no guest program ${name}`);
  return found;
}

/** Newer linkers warn of what is meant here, and a warning fails the build. */
const EXECUTABLE_STACK = ['-z', 'execstack', '-Wl,--no-warn-execstack'];

/** All programs. */
export const PROGRAMS: readonly GuestProgram[] = [
  attack('mprotect_rx', 'runs code in memory that mprotect made executable'),
  attack('rwx', 'runs code in memory that is writable and executable', { status: 42 }),
  attack('exec_stack', 'runs code in a local array on an executable stack', { flags: EXECUTABLE_STACK }),
  attack('late_touch', 'runs code in a page first touched long after it was mapped'),
  attack('thread', 'runs code in a second thread'),
  attack('overflow', 'runs code that overflowed a buffer of a network service', {
    flags: [...EXECUTABLE_STACK, '-fno-stack-protector', '-fcf-protection=none'],
    status: 43,
  }),
  attack('shell', 'runs shellcode that starts /bin/sh'),
  attack('reverse_shell', 'runs shellcode that connects a shell to 127.0.0.1:4444'),
  attack('stager', 'runs shellcode that reads its second stage from a pipe', { status: 44 }),
  benign('loop', 'prints and sleeps', '20 100', 'loop ok 20'),
  benign(
    'jit',
    'compiles and runs 200 functions, writable or executable, never both',
    '200',
    'jit ok 200/200',
  ),
  benign('signals', 'handles its own SIGSEGV and SIGILL', '', 'signals ok'),
  benign(
    'maps_random',
    'maps, splits, merges and unmaps at random',
    '1 500 0 /tmp/maps.log',
    'maps_random ok 500',
  ),
  helper('overflow_client', 'attacks the service'),
  helper('many_vmas', 'makes thousands of memory areas in many processes, and waits'),
];

/** The programs that try to run code where none should be. */
export const ATTACKS: readonly GuestProgram[] = PROGRAMS.filter(({ kind }) => kind === 'attack');

/** The programs that must run on unharmed. */
export const BENIGN: readonly GuestProgram[] = PROGRAMS.filter(({ kind }) => kind === 'benign');

function attack(
  name: string,
  summary: string,
  more: { readonly flags?: readonly string[]; readonly status?: number } = {},
): GuestProgram {
  return {
    name,
    kind: 'attack',
    summary,
    flags: [],
    args: '',
    achieves: `PWNED ${name}`,
    status: 0,
    ...more,
  };
}

function benign(name: string, summary: string, args: string, achieves: string): GuestProgram {
  return { name, kind: 'benign', summary, flags: [], args, achieves, status: 0 };
}

function helper(name: string, summary: string): GuestProgram {
  return { name, kind: 'helper', summary, flags: [], args: '', achieves: '', status: 0 };
}

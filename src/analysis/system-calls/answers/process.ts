import {
  type Answer,
  EFAULT,
  type EnteredCall,
  type Outcome,
  type ProcessModel,
  poke,
  wide,
  words,
} from './answer.ts';

/** The emulated process: an ordinary user's. */
const PID = 4242;
const PARENT = 4241;
/**
 * The process plays a set-user-ID program of root's: what makes the effective id the real one takes the privilege,
 * what makes the real id the effective one gives it up, and the two can be told apart.
 */
const USER = 1000;
const EFFECTIVE = 0;
const NOW = 1_750_000_000;

/** Emulation follows the child of a fork: that is where shells are started. */
const child: Answer = () => 0;

function ends(name: string): Answer {
  return () => ({ ends: name });
}

/** A path that cannot be read makes the call return, and the code go on. */
function exec(pathIndex: number): Answer {
  return (call) => (call.decoded[pathIndex]?.strings === undefined ? EFAULT : { ends: call.name });
}

/** Signal handlers: EFAULT for a structure that cannot be read, which egg hunters look for. */
function sigaction(call: EnteredCall, process: ProcessModel): Outcome {
  const raw = call.raw[1];
  if (raw === undefined || (raw.low | raw.high) === 0) return 0;
  return process.memory.readable(raw.high, raw.low) ? 0 : EFAULT;
}

function sleep(call: EnteredCall, process: ProcessModel): Outcome {
  const raw = call.raw[0] ?? { low: 0, high: 0 };
  const bytes = process.memory.peek(raw.high, raw.low, 4);
  if (bytes.length < 4) return EFAULT;
  process.slept += 1000 * new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return 0;
}

function time(call: EnteredCall, process: ProcessModel): Outcome {
  if (wide(call, 0) !== 0) poke(call, 0, process, words(NOW));
  return NOW;
}

function random(call: EnteredCall, process: ProcessModel): Outcome {
  const size = Math.min(wide(call, 1), 256);
  const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 197 + 91) & 0xff);
  return poke(call, 0, process, bytes) ? size : EFAULT;
}

function uname(call: EnteredCall, process: ProcessModel): Outcome {
  return poke(call, 0, process, Buffer.from('Linux\0')) ? 0 : EFAULT;
}

export const PROCESS_ANSWERS: Readonly<Record<string, Answer>> = {
  fork: child,
  vfork: child,
  clone: child,
  clone3: child,
  execve: exec(0),
  execveat: exec(1),
  exit: ends('exit'),
  exit_group: ends('exit_group'),
  rt_sigreturn: ends('rt_sigreturn'),
  sigreturn: ends('sigreturn'),
  reboot: ends('reboot'),
  pause: ends('pause'),
  rt_sigsuspend: ends('rt_sigsuspend'),
  rt_sigaction: sigaction,
  sigaction,
  nanosleep: sleep,
  time,
  getrandom: random,
  uname,
  getpid: () => PID,
  gettid: () => PID,
  getppid: () => PARENT,
  getuid: () => USER,
  getgid: () => USER,
  geteuid: () => EFFECTIVE,
  getegid: () => EFFECTIVE,
  getuid32: () => USER,
  getgid32: () => USER,
  geteuid32: () => EFFECTIVE,
  getegid32: () => EFFECTIVE,
  setsid: () => PID,
  wait4: () => PID + 1,
  waitpid: () => PID + 1,
  personality: () => 0,
};

import { RECEIVED } from '../../emulator/memory/marks.ts';
import {
  type Answer,
  EFAULT,
  ENOENT,
  type EnteredCall,
  isNull,
  type Outcome,
  type ProcessModel,
  poke,
  wide,
  word,
  words,
} from './answer.ts';

const O_ACCMODE = 3;
const MOST_READ = 0x1_0000;
/** A peer that never stops sending would keep a loop going for ever. */
const MOST_READS = 256;

/** Opening succeeds: what the code wants to do with the file is what matters. */
function open(pathIndex: number, flagsIndex: number | undefined): Answer {
  return (call, process) => {
    const path = call.decoded[pathIndex]?.strings?.[0];
    if (path === undefined) return EFAULT;
    const flags = flagsIndex === undefined ? 1 : word(call, flagsIndex);
    return process.descriptors.add({ kind: 'file', path, writable: (flags & O_ACCMODE) !== 0 });
  };
}

/** EFAULT for a path that cannot be read, which egg hunters look for; else there is no such file. */
function probe(pathIndex: number): Answer {
  return (call, process) => {
    const raw = call.raw[pathIndex];
    if (raw === undefined || !process.memory.readable(raw.high, raw.low)) return EFAULT;
    return ENOENT;
  };
}

/**
 * Bytes from outside. Nobody knows them; the first word is a small number, so that a stager that asks for a
 * length first gets a usable one. Running into them ends the run as a staged loader. Files end after one read.
 */
export function readInto(
  call: EnteredCall,
  process: ProcessModel,
  fd: number,
  buffer: number,
  size: number,
): Outcome {
  const descriptor = process.descriptors.get(fd);
  const raw = call.raw[buffer];
  if (raw === undefined || !process.memory.readable(raw.high, raw.low)) return EFAULT;
  if (descriptor !== undefined) {
    descriptor.reads++;
    if (descriptor.kind === 'file' && descriptor.reads > 1) return 0;
    if (descriptor.reads > MOST_READS) return 0;
  }
  const bytes = new Uint8Array(Math.min(size, MOST_READ));
  if (bytes.length > 1) bytes[1] = 0x10;
  return process.memory.poke(raw.high, raw.low, bytes, RECEIVED);
}

function read(call: EnteredCall, process: ProcessModel): Outcome {
  return readInto(call, process, word(call, 0), 1, wide(call, 2));
}

/** Reads through a vector of buffers (struct iovec): the first is enough for what follows. */
function readv(call: EnteredCall, process: ProcessModel): Outcome {
  const raw = call.raw[1] ?? { low: 0, high: 0 };
  const vector = process.memory.peek(raw.high, raw.low, 2 * process.pointerSize);
  if (vector.length < 2 * process.pointerSize) return EFAULT;
  const view = new DataView(vector.buffer, vector.byteOffset);
  const isWide = process.pointerSize === 8;
  const base = { low: view.getInt32(0, true), high: isWide ? view.getInt32(4, true) : 0 };
  const size = view.getUint32(isWide ? 8 : 4, true);
  return readInto({ ...call, raw: [base] }, process, word(call, 0), 0, size);
}

function write(call: EnteredCall, process: ProcessModel): Outcome {
  const descriptor = process.descriptors.get(word(call, 0));
  if (descriptor !== undefined) descriptor.written = true;
  const raw = call.raw[1] ?? { low: 0, high: 0 };
  return process.memory.readable(raw.high, raw.low) || wide(call, 2) === 0 ? wide(call, 2) : EFAULT;
}

function dup(call: EnteredCall, process: ProcessModel): Outcome {
  const to = process.descriptors.add({ kind: 'other' });
  process.descriptors.duplicate(word(call, 0), to);
  return to;
}

function dup2(call: EnteredCall, process: ProcessModel): Outcome {
  process.descriptors.duplicate(word(call, 0), word(call, 1));
  return word(call, 1);
}

const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;

function fcntl(call: EnteredCall, process: ProcessModel): Outcome {
  const command = word(call, 1);
  if (command !== F_DUPFD && command !== F_DUPFD_CLOEXEC) return 0;
  const to = process.descriptors.add({ kind: 'other' }, word(call, 2));
  process.descriptors.duplicate(word(call, 0), to);
  return to;
}

function pipe(call: EnteredCall, process: ProcessModel): Outcome {
  const from = process.descriptors.add({ kind: 'pipe' });
  const to = process.descriptors.add({ kind: 'pipe' });
  return poke(call, 0, process, words(from, to)) ? 0 : EFAULT;
}

function memfd(call: EnteredCall, process: ProcessModel): Outcome {
  return process.descriptors.add({
    kind: 'memfd',
    path: call.decoded[0]?.strings?.[0] ?? '',
    writable: true,
  });
}

function close(call: EnteredCall, process: ProcessModel): Outcome {
  process.descriptors.close(word(call, 0));
  return 0;
}

/** The first time all is copied, then there is no more. */
function sendfile(call: EnteredCall, process: ProcessModel): Outcome {
  const source = process.descriptors.get(word(call, 1));
  const target = process.descriptors.get(word(call, 0));
  if (target !== undefined) target.written = true;
  if (source === undefined) return Math.min(wide(call, 3), MOST_READ);
  source.reads++;
  return source.reads > 1 ? 0 : Math.min(wide(call, 3), MOST_READ);
}

function getcwd(call: EnteredCall, process: ProcessModel): Outcome {
  return poke(call, 0, process, Uint8Array.of(0x2f, 0)) ? 2 : EFAULT;
}

/** A size of one page: enough for code that maps what it looked at. */
function fstat(call: EnteredCall, process: ProcessModel): Outcome {
  const bytes = new Uint8Array(64);
  bytes[process.pointerSize === 8 ? 49 : 21] = 0x10;
  return isNull(call, 1) || !poke(call, 1, process, bytes) ? EFAULT : 0;
}

export const FILE_ANSWERS: Readonly<Record<string, Answer>> = {
  open: open(0, 1),
  openat: open(1, 2),
  openat2: open(1, undefined),
  creat: open(0, undefined),
  access: probe(0),
  faccessat: probe(1),
  faccessat2: probe(1),
  stat: probe(0),
  stat64: probe(0),
  lstat: probe(0),
  lstat64: probe(0),
  statfs: probe(0),
  readlink: probe(0),
  read,
  pread64: read,
  readv,
  write,
  pwrite64: write,
  writev: (call) => wide(call, 2),
  close,
  dup,
  dup2,
  dup3: dup2,
  fcntl,
  fcntl64: fcntl,
  pipe,
  pipe2: pipe,
  memfd_create: memfd,
  sendfile,
  sendfile64: sendfile,
  splice: (call) => wide(call, 4),
  getcwd,
  fstat,
  fstat64: fstat,
};

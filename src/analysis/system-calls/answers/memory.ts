import { PAGE_SIZE } from '../../emulator/memory/snapshot.ts';
import {
  type Answer,
  EFAULT,
  type EnteredCall,
  type Outcome,
  type ProcessModel,
  poke,
  wide,
  word,
} from './answer.ts';

const PROT_EXEC = 4;
/** A mapping larger than this is made, but only its start can be touched. */
const MOST_PAGES = 0x10_0000;
const ENOMEM = -12;

/** Goes where the code wishes; otherwise to a free place. */
function mmap(call: EnteredCall, process: ProcessModel): Outcome {
  const length = wide(call, 1);
  const pages = Math.ceil(length / PAGE_SIZE);
  if (pages === 0 || pages > MOST_PAGES) return ENOMEM;
  const wish = Math.floor(wide(call, 0) / PAGE_SIZE);
  const first = wish === 0 ? process.nextMapping / PAGE_SIZE : wish;
  if (wish === 0) process.nextMapping += pages * PAGE_SIZE;
  process.memory.map(first, pages);
  const executable = (word(call, 2) & PROT_EXEC) !== 0;
  process.mappings.push({ start: first * PAGE_SIZE, length: pages * PAGE_SIZE, executable });
  return first * PAGE_SIZE;
}

function mprotect(call: EnteredCall, process: ProcessModel): Outcome {
  const executable = (word(call, 2) & PROT_EXEC) !== 0;
  process.mappings.push({ start: wide(call, 0), length: wide(call, 1), executable });
  return 0;
}

function mremap(call: EnteredCall, process: ProcessModel): Outcome {
  process.memory.map(
    Math.floor(wide(call, 0) / PAGE_SIZE),
    Math.min(Math.ceil(wide(call, 2) / PAGE_SIZE), MOST_PAGES),
  );
  return wide(call, 0);
}

const HEAP = 0x5555_0000;

function brk(call: EnteredCall, process: ProcessModel): Outcome {
  const wish = wide(call, 0);
  if (wish <= HEAP || wish > HEAP + MOST_PAGES * PAGE_SIZE) return HEAP;
  process.memory.map(HEAP / PAGE_SIZE, Math.ceil((wish - HEAP) / PAGE_SIZE));
  return wish;
}

function mincore(call: EnteredCall, process: ProcessModel): Outcome {
  const raw = call.raw[0] ?? { low: 0, high: 0 };
  if (!process.memory.readable(raw.high, raw.low)) return ENOMEM;
  return poke(call, 2, process, Uint8Array.of(1)) ? 0 : EFAULT;
}

export const MEMORY_ANSWERS: Readonly<Record<string, Answer>> = {
  mmap,
  mmap2: mmap,
  mprotect,
  pkey_mprotect: mprotect,
  mremap,
  brk,
  mincore,
};

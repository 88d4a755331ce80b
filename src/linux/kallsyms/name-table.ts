import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { readLeniently } from '../../memory/read-leniently.ts';
import { NameAutomaton } from './name-automaton.ts';
import type { TokenTable } from './token-table.ts';

/** A marker stands for this many names. */
const NAMES_A_MARKER = 256;
/** A name takes at least a length and a token, at most two bytes of length and 511 tokens (KSYM_NAME_LEN). */
const MIN_MARKER_STEP = NAMES_A_MARKER * 2;
const MAX_MARKER_STEP = NAMES_A_MARKER * 513;
/** Fewer markers are not taken for a table: the smallest kernels have thousands of symbols. */
const MIN_MARKERS = 4;
/** How far before the token table the names are looked for: first a usual kernel's, then the largest. */
const REACHES = [4 * 1024 * 1024, 32 * 1024 * 1024];
/** The markers are aligned to 4 or 8 bytes, and zeros fill the gap. */
const MAX_PADDING = 8;
/** What the last markers' names, 256 at most, can take: far more than any kernel's longest names. */
const MAX_LAST_NAMES = 32 * 1024;
/** Runs of words that look like markers and are looked into; in kernels the first one is right. */
const MAX_RUNS = 8;

/**
 * The names of all symbols, as kallsyms keeps them (`kallsyms_names`, `kallsyms_markers` and
 * `kallsyms_num_syms`, Linux `scripts/kallsyms.c`): for each its length (one byte, or two where bit 7 is
 * set) and its tokens; the first letter of the text is the symbol's type. Copied out of the guest.
 */
export class NameTable {
  readonly count: number;
  /** Guest-physical address of `kallsyms_num_syms`. */
  readonly countAddress: number;
  readonly #bytes: Uint8Array;
  readonly #markers: Uint32Array;
  readonly #tokens: readonly string[];

  constructor(
    count: number,
    countAddress: number,
    bytes: Uint8Array,
    markers: Uint32Array,
    tokens: readonly string[],
  ) {
    this.count = count;
    this.countAddress = countAddress;
    this.#bytes = bytes;
    this.#markers = markers;
    this.#tokens = tokens;
  }

  /** The type letter and name of one symbol, written together: `Tlinux_banner`. Empty beyond the last one. */
  text(index: number): string {
    if (!(index >= 0 && index < this.count)) return '';
    let at = this.#markers[index >>> 8] ?? 0;
    for (let skip = index & 0xff; skip > 0; skip--) at = nameEnd(this.#bytes, at);
    return this.#decode(at);
  }

  /** Every symbol's type letter and name written together, in the order of the table. */
  *texts(): Generator<string> {
    for (let index = 0, at = 0; index < this.count; index++) {
      yield this.#decode(at);
      at = nameEnd(this.#bytes, at);
    }
  }

  /**
   * Finds symbols by exact name in one pass that decodes none: calls `found` with the symbol's number and
   * the place of its name in `wanted`, in the order of the table, until it returns false.
   */
  search(wanted: readonly string[], found: (index: number, which: number) => boolean): void {
    const bytes = this.#bytes;
    const automaton = new NameAutomaton(wanted, this.#tokens);
    for (let index = 0, at = 0; index < this.count; index++) {
      const start = nameStart(bytes, at);
      const end = nameEnd(bytes, at);
      at = end;
      const which = automaton.match(bytes, start, end);
      if (which >= 0 && !found(index, which)) return;
    }
  }

  #decode(at: number): string {
    const end = nameEnd(this.#bytes, at);
    let text = '';
    for (let token = nameStart(this.#bytes, at); token < end; token++) {
      text += this.#tokens[this.#bytes[token] ?? 0] ?? '';
    }
    return text;
  }
}

/**
 * The name table that belongs to a token table: before it come the names, their markers and, in some
 * kernels, `kallsyms_seqs_of_names`. Nothing below `lowest` (guest-physical) is looked at. Undefined when
 * there is none whose every marker agrees with its names.
 */
export function findNameTable(
  memory: PhysicalMemory,
  tokens: TokenTable,
  lowest: number,
): NameTable | undefined {
  for (const reach of REACHES) {
    const from = Math.max(Math.ceil(lowest / 8) * 8, Math.floor((tokens.start - reach) / 8) * 8);
    const region = new Uint8Array((tokens.start - from) & ~3);
    readLeniently(memory, from, region);
    const table = findInRegion(region, from, tokens.texts);
    if (table !== undefined || from <= lowest) return table;
  }
  return undefined;
}

function findInRegion(region: Uint8Array, origin: number, tokens: readonly string[]): NameTable | undefined {
  const words = new Uint32Array(region.buffer, 0, region.length >>> 2);
  for (let first = words.length - MIN_MARKERS, runs = 0; first >= 0 && runs < MAX_RUNS; first--) {
    if (words[first] !== 0) continue;
    const markers = markersFrom(words, first);
    if (markers.length < MIN_MARKERS) continue;
    runs += 1;
    const table = namesBefore(region, words, first, markers, origin, tokens);
    if (table !== undefined) return table;
  }
  return undefined;
}

/** The longest run of words from `first` on that ascend as markers do. */
function markersFrom(words: Uint32Array, first: number): Uint32Array {
  let end = first + 1;
  for (; end < words.length; end++) {
    const step = (words[end] ?? 0) - (words[end - 1] ?? 0);
    if (step < MIN_MARKER_STEP || step > MAX_MARKER_STEP) break;
  }
  return words.subarray(first, end);
}

/** Looks for the names whose end the markers stand behind: the symbol count lies 4 or 8 bytes before them. */
function namesBefore(
  region: Uint8Array,
  words: Uint32Array,
  first: number,
  markers: Uint32Array,
  origin: number,
  tokens: readonly string[],
): NameTable | undefined {
  const latest = first * 4 - (markers.at(-1) ?? 0);
  const earliest = Math.max(8, latest - MAX_LAST_NAMES);
  for (let names = latest & ~3; names >= earliest; names -= 4) {
    for (const back of [4, 8]) {
      const count = words[(names - back) >>> 2] ?? 0;
      if (Math.ceil(count / NAMES_A_MARKER) !== markers.length) continue;
      const end = checkNames(region, names, first * 4, count, markers);
      if (end < 0) continue;
      const copy = region.slice(names, end);
      return new NameTable(count, origin + names - back, copy, markers.slice(), tokens);
    }
  }
  return undefined;
}

/** Walks all names; returns where the last one ends, or -1 when a marker or the end disagrees. */
function checkNames(
  region: Uint8Array,
  start: number,
  limit: number,
  count: number,
  markers: Uint32Array,
): number {
  let at = start;
  for (let index = 0; index < count; index++) {
    if ((index & 0xff) === 0 && markers[index >>> 8] !== at - start) return -1;
    if (at >= limit) return -1;
    at = nameEnd(region, at);
  }
  if (at > limit || limit - at >= MAX_PADDING) return -1;
  return region.subarray(at, limit).every((byte) => byte === 0) ? at : -1;
}

/** Where the tokens of the name at `at` begin: behind one byte of length, or two where bit 7 is set. */
function nameStart(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) & 0x80) === 0 ? at + 1 : at + 2;
}

/** Where the name at `at` ends; always beyond `at`. */
function nameEnd(bytes: Uint8Array, at: number): number {
  const length = bytes[at] ?? 0;
  if ((length & 0x80) === 0) return at + 1 + length;
  return at + 2 + ((length & 0x7f) | ((bytes[at + 1] ?? 0) << 7));
}

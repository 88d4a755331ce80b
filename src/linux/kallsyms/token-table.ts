import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { readLeniently } from '../../memory/read-leniently.ts';

/** Tokens are numbered by one byte. */
const TOKENS = 256;
const INDEX_BYTES = TOKENS * 2;
/** The index is looked for at this stride, so that one probe falls into its 512 bytes wherever it begins. */
const PROBE_STRIDE = 256;
/** A probe looks at so much of an index. */
const PROBE_BYTES = 16;
/** Searched at a time: 128 KiB, a multiple of the stride. */
const CHUNK_WORDS = 64 * 1024;
/** A probe takes a token to be no longer than this, with its NUL; the full check takes any length. */
const PROBE_MAX_TOKEN = 128;
/** Longest last token that is looked for, with its NUL and the padding behind it. */
const MAX_LAST_TOKEN = 1024;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/**
 * The pieces of text that kallsyms writes symbol names with (`kallsyms_token_table` and
 * `kallsyms_token_index`, Linux `scripts/kallsyms.c`): a name is a list of tokens, one byte each.
 */
export class TokenTable {
  /** Guest-physical address of the table's first byte. */
  readonly start: number;
  /** Guest-physical address behind the index, which follows the table. */
  readonly end: number;
  /** Every token's text. */
  readonly texts: readonly string[];

  constructor(start: number, end: number, texts: readonly string[]) {
    this.start = start;
    this.end = end;
    this.texts = texts;
  }
}

/**
 * Every token table in `[start, start + size)` of guest-physical memory that is whole: 256 ascending index
 * entries, each token ended by a NUL, and every digit its own token (as no kernel lacks digits in its
 * symbols). Stale copies are found too; the caller tells them apart by what lies around them.
 */
export function* findTokenTables(memory: PhysicalMemory, start: number, size: number): Generator<TokenTable> {
  let last = -1;
  const chunk = new Uint16Array(CHUNK_WORDS);
  const bytes = new Uint8Array(chunk.buffer);
  for (let at = 0; at < size; at += bytes.length) {
    const length = Math.min(bytes.length, size - at);
    readLeniently(memory, start + at, bytes.subarray(0, length));
    for (let probe = 0; probe + PROBE_BYTES <= length; probe += PROBE_STRIDE) {
      if (!ascendsLikeIndex(chunk, probe / 2)) continue;
      const index = indexStart(memory, start + at + probe, start);
      if (index < 0 || index === last) continue;
      last = index;
      const table = readTokenTable(memory, index);
      if (table !== undefined) yield table;
    }
  }
}

/** Whether eight 16-bit words ascend by steps that token lengths can have. */
function ascendsLikeIndex(words: Uint16Array, at: number): boolean {
  for (let word = at + 1; word < at + PROBE_BYTES / 2; word++) {
    const step = (words[word] ?? 0) - (words[word - 1] ?? 0);
    if (step < 2 || step > PROBE_MAX_TOKEN) return false;
  }
  return true;
}

/** Goes back from inside an index to its first entry, which is 0; -1 when there is none within 256 entries. */
function indexStart(memory: PhysicalMemory, inside: number, lowest: number): number {
  let value = memory.u16(inside);
  for (let at = inside, steps = 0; steps < TOKENS && at >= lowest; steps++) {
    if (value === 0) return at;
    at -= 2;
    if (at < lowest) return -1;
    const before = memory.u16(at);
    if (before >= value) return -1;
    value = before;
  }
  return -1;
}

function readTokenTable(memory: PhysicalMemory, indexAddress: number): TokenTable | undefined {
  if (!memory.contains(indexAddress, INDEX_BYTES)) return undefined;
  const index = new Uint16Array(TOKENS);
  for (let token = 0; token < TOKENS; token++) {
    const offset = memory.u16(indexAddress + 2 * token);
    if (token > 0 && offset < (index[token - 1] ?? 0) + 2) return undefined;
    index[token] = offset;
  }
  const length = (index[TOKENS - 1] ?? 0) + MAX_LAST_TOKEN;
  const from = Math.max(0, indexAddress - length);
  if (!memory.contains(from, indexAddress - from)) return undefined;
  const before = Buffer.alloc(indexAddress - from);
  memory.read(from, before);
  for (let start = before.length - (index[TOKENS - 1] ?? 0) - 2; start >= 0; start--) {
    if ((from + start) % 4 !== 0) continue;
    const texts = readTokens(before, start, index);
    if (texts !== undefined) return new TokenTable(from + start, indexAddress + INDEX_BYTES, texts);
  }
  return undefined;
}

/** The tokens of a table that begins at `start` and fills `bytes` to its end but for the padding. */
function readTokens(bytes: Buffer, start: number, index: Uint16Array): string[] | undefined {
  for (let token = 1; token < TOKENS; token++) {
    if (bytes[start + (index[token] ?? 0) - 1] !== 0) return undefined;
  }
  const texts: string[] = [];
  for (let token = 0; token < TOKENS; token++) {
    const from = start + (index[token] ?? 0);
    const end = bytes.indexOf(0, from);
    const next = token + 1 < TOKENS ? start + (index[token + 1] ?? 0) - 1 : end;
    if (end < 0 || end !== next) return undefined;
    texts.push(bytes.toString('latin1', from, end));
  }
  const used = start + (index[TOKENS - 1] ?? 0) + (texts[TOKENS - 1] ?? '').length + 1;
  if (bytes.length - used >= 8 || bytes.subarray(used).some((byte) => byte !== 0)) return undefined;
  return digitsAreTokens(texts) ? texts : undefined;
}

function digitsAreTokens(texts: readonly string[]): boolean {
  for (let digit = DIGIT_0; digit <= DIGIT_9; digit++) {
    if (texts[digit] !== String.fromCharCode(digit)) return false;
  }
  return true;
}

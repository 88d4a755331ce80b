import { UsageError } from '../errors.ts';

/** A glob that cannot be read; `at` is the offset of the character that is wrong. */
export class GlobError extends UsageError {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

type Token =
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'any' }
  | {
      readonly kind: 'set';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    }
  | { readonly kind: 'run'; readonly slashes: boolean };

/**
 * A glob over names and paths: `*` is any run without a slash, `**` any run, `?` one character other than a
 * slash, `[a-z]` and `[!a-z]` one character of a set, `\` takes the next character as it is. The whole text
 * must match. Time is bounded by the product of both lengths, whatever a hostile guest calls its files.
 */
export class Glob {
  readonly source: string;
  readonly #tokens: readonly Token[];

  /** @throws GlobError where the pattern cannot be read. */
  constructor(source: string) {
    this.source = source;
    this.#tokens = tokenize(source);
  }

  matches(text: string): boolean {
    let reachable = closure(this.#tokens, new Set([0]));
    for (const character of text) {
      reachable = closure(this.#tokens, advance(this.#tokens, reachable, character));
      if (reachable.size === 0) return false;
    }
    return reachable.has(this.#tokens.length);
  }
}

/** Runs match nothing at all, too: from before one, the place after it is reached as well. */
function closure(tokens: readonly Token[], places: Set<number>): Set<number> {
  for (const place of places) {
    if (tokens[place]?.kind === 'run') places.add(place + 1);
  }
  return places;
}

function advance(tokens: readonly Token[], places: ReadonlySet<number>, character: string): Set<number> {
  const next = new Set<number>();
  for (const place of places) {
    const token = tokens[place];
    if (token === undefined || !accepts(token, character)) continue;
    next.add(token.kind === 'run' ? place : place + 1);
  }
  return next;
}

function accepts(token: Token, character: string): boolean {
  switch (token.kind) {
    case 'character':
      return token.character === character;
    case 'any':
      return character !== '/';
    case 'run':
      return token.slashes || character !== '/';
    case 'set':
      return (
        character !== '/' &&
        token.ranges.some(([first, last]) => first <= character && character <= last) !== token.negated
      );
  }
}

function tokenize(source: string): Token[] {
  if (source === '') throw new GlobError('a glob must not be empty', 0);
  const tokens: Token[] = [];
  for (let at = 0; at < source.length; ) {
    const [token, length] = tokenAt(source, at);
    tokens.push(token);
    at += length;
  }
  return tokens;
}

function tokenAt(source: string, at: number): [Token, number] {
  const character = String.fromCodePoint(source.codePointAt(at) ?? 0);
  switch (character) {
    case '*':
      return runAt(source, at);
    case '?':
      return [{ kind: 'any' }, 1];
    case '[':
      return setAt(source, at);
    case ']':
      throw new GlobError('"]" without a "[" before it; write "\\]" for the character itself', at);
    case '\\':
      return escapedAt(source, at);
    default:
      return [{ kind: 'character', character }, character.length];
  }
}

function runAt(source: string, at: number): [Token, number] {
  let length = 1;
  while (source[at + length] === '*') length++;
  if (length > 2) throw new GlobError('more than two "*" in a row', at);
  return [{ kind: 'run', slashes: length === 2 }, length];
}

function escapedAt(source: string, at: number): [Token, number] {
  const code = source.codePointAt(at + 1);
  if (code === undefined) throw new GlobError('"\\" at the end escapes nothing', at);
  const character = String.fromCodePoint(code);
  return [{ kind: 'character', character }, 1 + character.length];
}

function setAt(source: string, at: number): [Token, number] {
  const negated = source[at + 1] === '!' || source[at + 1] === '^';
  const first = at + (negated ? 2 : 1);
  const end = source.indexOf(']', first);
  if (end < 0) throw new GlobError('"[" without a "]" after it; write "\\[" for the character itself', at);
  if (end === first) throw new GlobError('an empty set "[]"', at);
  return [{ kind: 'set', negated, ranges: setRanges(source.slice(first, end), at) }, end + 1 - at];
}

function setRanges(body: string, at: number): [string, string][] {
  const members = [...body];
  const ranges: [string, string][] = [];
  for (let index = 0; index < members.length; index++) {
    const first = members[index] ?? '';
    const isRange = members[index + 1] === '-' && index + 2 < members.length;
    const last = isRange ? (members[index + 2] ?? '') : first;
    if (last < first) throw new GlobError(`the range "${first}-${last}" runs backwards`, at);
    ranges.push([first, last]);
    if (isRange) index += 2;
  }
  return ranges;
}

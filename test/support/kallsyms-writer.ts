/** One symbol of a made-up kernel. */
export interface WrittenSymbol {
  readonly address: bigint;
  readonly type: string;
  readonly name: string;
}

/** The ways in which kernels lay out their symbol tables (Linux `scripts/kallsyms.c`). */
export interface WrittenLayout {
  /** Addresses before the symbol count (5.10, 6.1) or behind the token index (6.12, 7.x). */
  readonly order: 'before' | 'behind';
  readonly addressing: 'per-cpu' | 'base' | 'self' | 'whole';
  /** Where `kallsyms_seqs_of_names` stands: not at all, before the tokens, or at the end. */
  readonly sequences: 'none' | 'before tokens' | 'end';
  readonly alignment: 4 | 8;
}

/** A written table and where its parts are, in bytes from its start. */
export interface WrittenTable {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly names: number;
  readonly markers: number;
  readonly tokens: number;
  readonly tokenIndex: number;
}

/** Grows by appended parts, each aligned. */
class Blob {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  append(bytes: Uint8Array, alignment: number): number {
    const padding = (alignment - (this.length % alignment)) % alignment;
    this.#parts.push(new Uint8Array(padding), bytes);
    const at = this.length + padding;
    this.length = at + bytes.length;
    return at;
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** Lays out symbols (by ascending address) as a kernel at `place`, the run-time address of the first byte, has them. */
export function writeKallsyms(
  layout: WrittenLayout,
  symbols: readonly WrittenSymbol[],
  base: bigint,
  place: bigint,
): WrittenTable {
  const { alignment } = layout;
  const blob = new Blob();
  const tokens = chooseTokens(symbols);
  const { names, markers } = compress(symbols, tokens);
  const sequences = new Uint8Array(symbols.length * 3).map((_, index) => (index * 89) & 0xff);
  if (layout.order === 'before') appendAddresses(blob, layout, symbols, base, place);
  const count = blob.append(words(4, [symbols.length]), alignment);
  const namesAt = blob.append(names, alignment);
  const markersAt = blob.append(words(4, markers), alignment);
  if (layout.sequences === 'before tokens') blob.append(sequences, alignment);
  const text = Buffer.from(tokens.map((token) => `${token}\0`).join(''), 'latin1');
  const tokensAt = blob.append(text, alignment);
  const tokenIndex = blob.append(words(2, startsOf(tokens)), alignment);
  if (layout.order === 'behind') appendAddresses(blob, layout, symbols, base, place);
  if (layout.sequences === 'end') blob.append(sequences, alignment);
  return { bytes: blob.bytes(), count, names: namesAt, markers: markersAt, tokens: tokensAt, tokenIndex };
}

function appendAddresses(
  blob: Blob,
  layout: WrittenLayout,
  symbols: readonly WrittenSymbol[],
  base: bigint,
  place: bigint,
): void {
  if (layout.addressing === 'whole') {
    blob.append(new Uint8Array(BigUint64Array.from(symbols.map(({ address }) => address)).buffer), 8);
    return;
  }
  const { alignment } = layout;
  const start = place + BigInt(Math.ceil(blob.length / alignment) * alignment);
  const offsets = symbols.map(({ address }, index) => {
    if (layout.addressing === 'self') return Number(address - (start + 4n * BigInt(index)));
    if (layout.addressing === 'base') return Number(address - base);
    return address < base ? Number(address) : Number(base - 1n - address);
  });
  blob.append(words(4, offsets), alignment);
  if (layout.addressing !== 'self') blob.append(new Uint8Array(BigUint64Array.of(base).buffer), 8);
}

/** Characters in use stand for themselves; the other numbers stand for what names often begin with. */
function chooseTokens(symbols: readonly WrittenSymbol[]): string[] {
  const texts = symbols.map(({ type, name }) => type + name);
  const characters = new Set(`${texts.join('')}0123456789`);
  const frequency = new Map<string, number>();
  for (const text of texts) {
    for (const length of [2, 3, 5]) {
      const piece = text.slice(0, length);
      if (piece.length === length) frequency.set(piece, (frequency.get(piece) ?? 0) + 1);
    }
  }
  const pieces = [...frequency].sort((a, b) => b[1] - a[1]).map(([piece]) => piece);
  return Array.from({ length: 256 }, (_, token) => {
    const character = String.fromCharCode(token);
    return characters.has(character) ? character : (pieces.shift() ?? `~${token}`);
  });
}

function compress(symbols: readonly WrittenSymbol[], tokens: readonly string[]) {
  const byLength = tokens
    .map((text, token) => ({ text, token }))
    .sort((a, b) => b.text.length - a.text.length);
  const markers: number[] = [];
  const names: number[] = [];
  symbols.forEach(({ type, name }, index) => {
    if (index % 256 === 0) markers.push(names.length);
    const encoded: number[] = [];
    for (let rest = type + name; rest !== ''; ) {
      const best = byLength.find(({ text }) => rest.startsWith(text));
      if (best === undefined) throw new Error(`no token for ${rest}`);
      encoded.push(best.token);
      rest = rest.slice(best.text.length);
    }
    if (encoded.length < 0x80) names.push(encoded.length, ...encoded);
    else names.push((encoded.length & 0x7f) | 0x80, encoded.length >> 7, ...encoded);
  });
  return { names: Uint8Array.from(names), markers };
}

function startsOf(tokens: readonly string[]): number[] {
  let at = 0;
  return tokens.map((token) => {
    const start = at;
    at += token.length + 1;
    return start;
  });
}

function words(size: 2 | 4, values: readonly number[]): Uint8Array {
  const array = size === 2 ? Uint16Array.from(values) : Int32Array.from(values);
  return new Uint8Array(array.buffer);
}

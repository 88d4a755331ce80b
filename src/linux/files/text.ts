const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** A byte that is not part of UTF-8 is kept as the surrogate U+DC00 + byte, which no UTF-8 text has. */
const ESCAPE = 0xdc00;
const ESCAPED = /[\udc80-\udcff]/u;

/**
 * Bytes of the guest as text, without loss: names need not be UTF-8. Bytes that are not are kept as lone
 * surrogates from U+DC80 on (as Python's `surrogateescape` does); {@link encodeText} gives them back.
 */
export function decodeText(bytes: Uint8Array): string {
  return tryDecode(bytes) ?? decodePieces(bytes);
}

/** Text as the bytes that the guest had: the inverse of {@link decodeText}. */
export function encodeText(text: string): Uint8Array {
  if (!ESCAPED.test(text)) return Buffer.from(text, 'utf8');
  return Buffer.concat(
    Array.from(text, (character) =>
      ESCAPED.test(character)
        ? Buffer.from([character.charCodeAt(0) - ESCAPE])
        : Buffer.from(character, 'utf8'),
    ),
  );
}

/** `\012`: a byte as `mangle_path()` escapes it (fs/seq_file.c). */
export function octal(byte: number): string {
  return `\\${byte.toString(8).padStart(3, '0')}`;
}

function tryDecode(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

function decodePieces(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] ?? 0);
    const character = tryDecode(bytes.subarray(at, at + length));
    text += character ?? String.fromCharCode(ESCAPE + (bytes[at] ?? 0));
    at += character === undefined ? 1 : length;
  }
  return text;
}

/** Bytes of the UTF-8 sequence that a byte begins. */
function sequenceLength(lead: number): number {
  if (lead < 0xe0) return lead < 0xc0 ? 1 : 2;
  return lead < 0xf0 ? 3 : 4;
}

import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** The forms in which every command can print: for people, as one JSON value, as one JSON value a line. */
export const FORMATS = ['table', 'json', 'ndjson'] as const;

/** One of {@link FORMATS}. */
export type Format = (typeof FORMATS)[number];

/** What a cell or a JSON field may hold; addresses are hexadecimal strings. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/** One result, by field name. */
export type Row = { readonly [field: string]: Value };

/** A column of a table: which field it shows, under what heading, and on which side it is aligned. */
export interface Column {
  readonly field: string;
  readonly heading: string;
  readonly align?: 'right';
}

const CHUNK_LENGTH = 64 * 1024;

/** Collects text and writes it in large pieces, waiting where the reader is slower than the writer. */
export class TextOutput {
  readonly #stream: Writable;
  #pending = '';

  constructor(stream: Writable = process.stdout) {
    this.#stream = stream;
  }

  /** Adds a line; call {@link flush} at the end. */
  async line(text: string): Promise<void> {
    this.#pending += `${text}\n`;
    if (this.#pending.length >= CHUNK_LENGTH) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#pending;
    this.#pending = '';
    if (text !== '' && !this.#stream.write(text)) await once(this.#stream, 'drain');
  }
}

/** Prints rows in the wanted form: a table with these columns, a JSON array, or one JSON object a line. */
export async function printRows(
  rows: Iterable<Row>,
  columns: readonly Column[],
  format: Format,
): Promise<void> {
  const output = new TextOutput();
  if (format === 'table') await printTable([...rows], columns, output);
  else await printJsonRows(rows, format, output);
  await output.flush();
}

/** Prints rows as JSON: an array whose elements stand on a line each, or lines only. */
export async function printJsonRows(
  rows: Iterable<Row>,
  format: 'json' | 'ndjson',
  output: TextOutput,
): Promise<void> {
  if (format === 'ndjson') {
    for (const row of rows) await output.line(JSON.stringify(row));
    return;
  }
  let previous: string | undefined;
  await output.line('[');
  for (const row of rows) {
    if (previous !== undefined) await output.line(`${previous},`);
    previous = `  ${JSON.stringify(row)}`;
  }
  if (previous !== undefined) await output.line(previous);
  await output.line(']');
}

/** Prints one object: as aligned `name  value` lines, or as JSON. */
export async function printObject(
  object: Row,
  lines: readonly (readonly [string, string])[],
  format: Format,
): Promise<void> {
  const output = new TextOutput();
  if (format === 'table') {
    const width = Math.max(...lines.map(([name]) => name.length));
    for (const [name, value] of lines) await output.line(`${name.padEnd(width)}  ${value}`.trimEnd());
  } else {
    await output.line(JSON.stringify(object, null, format === 'json' ? 2 : undefined));
  }
  await output.flush();
}

async function printTable(
  rows: readonly Row[],
  columns: readonly Column[],
  output: TextOutput,
): Promise<void> {
  const cells = rows.map((row) => columns.map((column) => cellText(row[column.field])));
  const widths = columns.map((column, index) =>
    cells.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), column.heading.length),
  );
  const render = (texts: readonly string[]) =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        return columns[index]?.align === 'right' ? text.padStart(width) : text.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  await output.line(render(columns.map((column) => column.heading)));
  for (const row of cells) await output.line(render(row));
}

function cellText(value: Value | undefined): string {
  if (value === undefined || value === null) return '-';
  return typeof value === 'object' ? JSON.stringify(value) : printable(String(value));
}

/** A 64-bit value as a JSON number, or as text in decimal where a number would not be exact. */
export function jsonInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

/** A text from the guest, made safe for a terminal: control characters are shown as escapes. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is being replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

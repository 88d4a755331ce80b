import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { jsonInteger, printable, printJsonRows, TextOutput } from '../../src/cli/output.ts';

async function printed(format: 'json' | 'ndjson', rows: readonly { readonly [field: string]: number }[]) {
  const stream = new PassThrough();
  const output = new TextOutput(stream);
  const all = text(stream);
  await printJsonRows(rows, format, output);
  await output.flush();
  stream.end();
  return all;
}

test('json is one array, ndjson one object a line', async () => {
  const rows = [{ pid: 1 }, { pid: 2 }];
  expect(JSON.parse(await printed('json', rows))).toEqual(rows);
  expect(await printed('ndjson', rows)).toBe('{"pid":1}\n{"pid":2}\n');
});

test('no rows are an empty array, or nothing', async () => {
  expect(JSON.parse(await printed('json', []))).toEqual([]);
  expect(await printed('ndjson', [])).toBe('');
});

test('a slow reader is waited for and loses nothing', async () => {
  const rows = Array.from({ length: 50_000 }, (_, pid) => ({ pid }));
  expect(JSON.parse(await printed('json', rows))).toHaveLength(50_000);
});

test('text from the guest cannot control the terminal', () => {
  expect(printable('a\u001b[31mb\u009bc\n')).toBe('a\\x1b[31mb\\x9bc\\x0a');
});

test('an integer that a number cannot hold is given as text', () => {
  expect(jsonInteger(12n)).toBe(12);
  expect(jsonInteger(2n ** 63n)).toBe('9223372036854775808');
});

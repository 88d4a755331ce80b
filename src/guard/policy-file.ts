import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { type Document, isMap, isNode, isPair, LineCounter, type Node, parseDocument } from 'yaml';
import { UsageError } from '../errors.ts';
import { Policy } from './policy.ts';
import { type PolicyFile, PolicySchema } from './policy-schema.ts';

/** A policy file that cannot be used; the message names file, line and column. */
export class PolicyError extends UsageError {}

/** @throws PolicyError with the place of the first mistake, or where the file cannot be read. */
export async function loadPolicy(path: string): Promise<Policy> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new PolicyError(`the policy ${path} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
  return parsePolicy(text, path);
}

/** Reads a policy from YAML text; `name` stands for the file in messages. @throws PolicyError */
export function parsePolicy(text: string, name = 'policy'): Policy {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const fail = (message: string, offset: number): never => {
    const { line, col } = lines.linePos(offset);
    throw new PolicyError(`${name}:${line}:${col}: ${message}`);
  };
  const mistake = document.errors[0] ?? document.warnings[0];
  if (mistake !== undefined) return fail(`not valid YAML: ${firstLine(mistake.message)}`, mistake.pos[0]);
  if (document.contents === null) return fail('the policy is empty', 0);
  const result = v.safeParse(PolicySchema, plainValue(document, fail));
  if (!result.success) return fail(...firstIssue(document, result.issues));
  refuseDuplicates(document, result.output, fail);
  return new Policy(result.output);
}

type Fail = (message: string, offset: number) => never;

function plainValue(document: Document.Parsed, fail: Fail): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return fail(`not valid YAML: ${reasonOf(error)}`, 0);
  }
}

/** The issue that stands first in the file, as message and offset. */
function firstIssue(document: Document.Parsed, issues: readonly v.BaseIssue<unknown>[]): [string, number] {
  const placed = issues.map((issue): [string, number] => [issue.message, offsetOf(document, issue)]);
  placed.sort((left, right) => left[1] - right[1]);
  return placed[0] ?? ['not a policy', 0];
}

function offsetOf(document: Document.Parsed, issue: v.BaseIssue<unknown>): number {
  const path = issue.path ?? [];
  const keys = path.map((item) => item.key);
  const isKey = (path.at(-1) as { origin?: string } | undefined)?.origin === 'key';
  return (isKey ? keyOffset(document, keys) : undefined) ?? nearestOffset(document, keys);
}

function keyOffset(document: Document.Parsed, keys: readonly unknown[]): number | undefined {
  const parent = nodeAt(document, keys.slice(0, -1));
  if (!isMap(parent)) return undefined;
  const name = String(keys.at(-1));
  const pair = parent.items.find((item) => isPair(item) && String(item.key) === name);
  return isNode(pair?.key) ? pair.key.range?.[0] : undefined;
}

/** Where the node at that path begins, or else the nearest one round it. */
function nearestOffset(document: Document.Parsed, keys: readonly unknown[]): number {
  for (let length = keys.length; length >= 0; length--) {
    const offset = nodeAt(document, keys.slice(0, length))?.range?.[0];
    if (offset !== undefined) return offset;
  }
  return 0;
}

function nodeAt(document: Document.Parsed, keys: readonly unknown[]): Node | undefined {
  const node: unknown = keys.length === 0 ? document.contents : document.getIn(keys, true);
  return isNode(node) ? node : undefined;
}

/** A second rule with the same match could never apply. */
function refuseDuplicates(document: Document.Parsed, file: PolicyFile, fail: Fail): void {
  const seen = new Map<string, number>();
  for (const [index, rule] of file.processes.entries()) {
    const key = JSON.stringify([rule.match.path, rule.match.name]);
    const earlier = seen.get(key);
    const offset = nearestOffset(document, ['processes', index, 'match']);
    if (earlier !== undefined)
      fail(`duplicate match: rule ${earlier + 1} has the same, and the first counts`, offset);
    seen.set(key, index);
  }
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  return firstLine(error instanceof Error ? error.message : String(error));
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

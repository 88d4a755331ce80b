import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { UsageError } from '../../errors.ts';
import type { RuleMatch, RuleScanner } from './scanner.ts';

/**
 * The optional dependency: YARA-X as an addon for the one platform that this program runs on. The package that would
 * choose among platforms also asks for some that are not published everywhere, and then nothing can be installed.
 */
const MODULE = '@litko/yara-x-linux-x64-gnu';

/** As much of YARA-X as is used here. */
interface YaraModule {
  compile(source: string): YaraRules;
}

interface YaraRules {
  scan(data: Buffer): readonly YaraMatch[];
}

interface YaraMatch {
  readonly ruleIdentifier: string;
  readonly tags: readonly string[];
  readonly meta: object;
  readonly matches: readonly { readonly offset: number }[];
}

/** How often a file is looked at for changes, at most. */
const CHECK_INTERVAL_MS = 1000;

/**
 * Rules of a YARA file. The file is read again when it changes; when the new text has an error, the rules that
 * were good stay in force and the error is kept for `problem`.
 */
export class YaraScanner implements RuleScanner {
  readonly #module: YaraModule;
  readonly #path: string;
  #rules: YaraRules;
  #changed: number;
  #checked = performance.now();
  #problem: string | undefined;

  private constructor(module: YaraModule, path: string) {
    this.#module = module;
    this.#path = path;
    this.#changed = modificationTime(path);
    this.#rules = compile(module, path);
  }

  /** Throws a UsageError when the dependency is missing, or the file cannot be read or has an error. */
  static open(path: string): YaraScanner {
    return new YaraScanner(loadModule(), path);
  }

  /** What is wrong with the file as it is now; undefined when its rules are in force. */
  get problem(): string | undefined {
    return this.#problem;
  }

  scan(bytes: Uint8Array): readonly RuleMatch[] {
    this.#reloadIfChanged();
    const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.#rules.scan(data).map((match) => ({
      rule: match.ruleIdentifier,
      tags: match.tags,
      verdict: 'verdict' in match.meta && match.meta.verdict === 'suspicious' ? 'suspicious' : 'malicious',
      offset: match.matches[0]?.offset,
    }));
  }

  #reloadIfChanged(): void {
    const now = performance.now();
    if (now - this.#checked < CHECK_INTERVAL_MS) return;
    this.#checked = now;
    try {
      const changed = modificationTime(this.#path);
      if (changed === this.#changed) return;
      this.#changed = changed;
      this.#rules = compile(this.#module, this.#path);
      this.#problem = undefined;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
    }
  }
}

function loadModule(): YaraModule {
  try {
    return createRequire(import.meta.url)(MODULE);
  } catch (cause) {
    throw new UsageError(`YARA rules need the optional package ${MODULE}, which is not installed`, { cause });
  }
}

function modificationTime(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch (cause) {
    throw new UsageError(`the rules file ${path} cannot be read`, { cause });
  }
}

function compile(module: YaraModule, path: string): YaraRules {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(`the rules file ${path} cannot be read`, { cause });
  }
  try {
    return module.compile(source);
  } catch (cause) {
    throw new UsageError(`${path}: ${compilerMessage(cause)}`, { cause });
  }
}

/** YARA's own report points at the line: `error[E009]: ...` and ` --> line:12:5`; one line is made of it. */
function compilerMessage(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const title = /error(?:\[\w+\])?: ([^\n]+)/.exec(text)?.[1] ?? text.split('\n')[0] ?? 'error';
  const place = /line:(\d+):(\d+)/.exec(text) ?? /:(\d+):(\d+)/.exec(text);
  return place === null ? title : `line ${place[1]}, column ${place[2]}: ${title}`;
}

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from '../errors.ts';

/** One archive that the machine's own apt configuration names. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** What else it says of the archive (`Signed-By`, `Trusted`, ...), as fields of a deb822 source. */
  readonly options: ReadonlyMap<string, string>;
}

/** Where Debian's archives are for this machine. */
export interface Mirrors {
  readonly archive: AptSource;
  /** The security archive; absent if the machine does not use one. */
  readonly security: AptSource | undefined;
}

/** Fields that say what to fetch rather than how to trust it: the lab's own lists have their own. */
const SELECTING = new Set([
  'types',
  'uris',
  'suites',
  'components',
  'enabled',
  'architectures',
  'arch',
  'languages',
  'lang',
  'targets',
  'target',
]);

/** A name of a suite of Debian's main archive, as far as the lab must tell it from other vendors' archives. */
const ARCHIVE_SUITE =
  /^(buster|bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)(-updates)?$/;
const SECURITY_SUITE = /^[a-z]+(-security|\/updates)$/;

/** Reads a file in apt's one-line format (sources.list(5)); lines that are not `deb` are left out. */
export function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*/, '').trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$/.exec(line);
    if (!match) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    sources.push({
      uri: trimSlash(uri),
      suites: [suite],
      components: words(components),
      options: new Map(
        words(options)
          .map(oneLineOption)
          .filter(([key]) => !SELECTING.has(key.toLowerCase())),
      ),
    });
  }
  return sources;
}

/** Reads a file in the deb822 format (sources.list(5)); disabled and source-only stanzas are left out. */
export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = deb822Fields(stanza);
    if (!words(fields.get('types') ?? '').includes('deb')) continue;
    if (/^(no|false|without|off|disable)$/i.test(fields.get('enabled') ?? 'yes')) continue;
    const options = new Map(
      [...fields].filter(([key]) => !SELECTING.has(key)).map(([key, value]) => [titleCase(key), value]),
    );
    for (const uri of words(fields.get('uris') ?? '')) {
      sources.push({
        uri: trimSlash(uri),
        suites: words(fields.get('suites') ?? ''),
        components: words(fields.get('components') ?? ''),
        options,
      });
    }
  }
  return sources;
}

/** Writes a deb822 stanza for suites of an archive, with the trust that the machine's own configuration gives it. */
export function formatDeb822(source: AptSource, suites: readonly string[]): string {
  const lines = [
    'Types: deb',
    `URIs: ${source.uri}`,
    `Suites: ${suites.join(' ')}`,
    'Components: main',
    'Targets: Packages',
  ];
  for (const [key, value] of source.options) lines.push(`${key}: ${value}`);
  return `${lines.join('\n')}\n`;
}

/** Picks Debian's main and security archives. Throws {@link LabError} if no source is Debian's main archive. */
export function chooseMirrors(sources: readonly AptSource[]): Mirrors {
  const main = sources.filter((source) => source.components.includes('main'));
  const archive = main.find((source) => source.suites.some((suite) => ARCHIVE_SUITE.test(suite)));
  if (!archive) throw new LabError("apt's configuration of this machine names no Debian archive");
  const security = main.find((source) => source.suites.some((suite) => SECURITY_SUITE.test(suite)));
  return { archive, security };
}

/** All sources of the machine's own apt configuration, in apt's order. */
export function readMachineSources(folder = '/etc/apt'): AptSource[] {
  const sources: AptSource[] = [];
  const add = (path: string) => {
    const text = readText(path);
    if (path.endsWith('.list')) sources.push(...parseOneLine(text));
    if (path.endsWith('.sources')) sources.push(...parseDeb822(text));
  };
  add(join(folder, 'sources.list'));
  for (const name of listFolder(join(folder, 'sources.list.d')).sort())
    add(join(folder, 'sources.list.d', name));
  return sources;
}

function deb822Fields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue;
    const match = /^([A-Za-z][\w-]*):[ \t]*(.*)$/.exec(line);
    if (match) {
      last = (match[1] ?? '').toLowerCase();
      fields.set(last, (match[2] ?? '').trimEnd());
    } else if (last !== undefined && /^[ \t]/.test(line)) {
      fields.set(last, `${fields.get(last)}\n${line.trimEnd()}`);
    }
  }
  return fields;
}

function oneLineOption(option: string): [string, string] {
  const at = option.indexOf('=');
  return at < 0 ? [titleCase(option), 'yes'] : [titleCase(option.slice(0, at)), option.slice(at + 1)];
}

function titleCase(field: string): string {
  return field.replace(/(^|-)[a-z]/g, (letters) => letters.toUpperCase());
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function trimSlash(uri: string): string {
  return uri.replace(/\/+$/, '');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

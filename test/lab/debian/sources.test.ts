import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  chooseMirrors,
  formatDeb822,
  parseDeb822,
  parseOneLine,
  readMachineSources,
} from '../../../lab/debian/sources.ts';
import { LabError } from '../../../lab/errors.ts';

const DEB822 = `# the archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
# a comment inside
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/security https://other.example/security
Suites: bookworm-security
Components: main
Architectures: amd64
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADmW5NdOOHwPIJlgPu6JDcKw/NZJPR8lsD3K87ZM18gzyQZJD+w
 -----END PGP PUBLIC KEY BLOCK-----
Check-Valid-Until: no

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: sid
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: sid
Components: main
`;

describe('deb822 sources', () => {
  const sources = parseDeb822(DEB822);

  test('takes enabled binary archives, one a URI, without the final slash', () => {
    expect(sources.map(({ uri }) => uri)).toEqual([
      'http://mirror.example/debian',
      'https://mirror.example/security',
      'https://other.example/security',
    ]);
    expect(sources[0]?.suites).toEqual(['bookworm', 'bookworm-updates']);
    expect(sources[0]?.components).toEqual(['main', 'contrib']);
  });

  test('keeps how an archive is trusted, and not what is selected from it', () => {
    expect(sources[0]?.options).toEqual(
      new Map([['Signed-By', '/usr/share/keyrings/debian-archive-keyring.gpg']]),
    );
    expect([...(sources[1]?.options.keys() ?? [])]).toEqual(['Signed-By', 'Check-Valid-Until']);
  });

  test('an embedded key survives being written and read again', () => {
    const [first, security] = sources;
    if (!first || !security) throw new Error('no sources');
    const [again] = parseDeb822(formatDeb822(security, ['trixie-security']));
    expect(again?.suites).toEqual(['trixie-security']);
    expect(again?.uri).toBe(security.uri);
    expect(again?.options).toEqual(security.options);
    expect(security.options.get('Signed-By')).toContain('\n mQINBGPL0BUB');
  });
});

describe('one-line sources', () => {
  test('reads options, several components and comments', () => {
    const sources = parseOneLine(`
# deb http://commented.example/debian sid main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/keys/one.gpg trusted=yes] http://mirror.example/debian bookworm main non-free # why
deb http://mirror.example/debian-security/ bookworm-security main
deb [ signed-by=/a.gpg ] http://spaced.example/debian bookworm main
deb cdrom
`);
    expect(sources.map(({ uri }) => uri)).toEqual([
      'http://mirror.example/debian',
      'http://mirror.example/debian-security',
      'http://spaced.example/debian',
    ]);
    expect(sources[0]?.components).toEqual(['main', 'non-free']);
    expect(sources[0]?.options).toEqual(
      new Map([
        ['Signed-By', '/etc/keys/one.gpg'],
        ['Trusted', 'yes'],
      ]),
    );
    expect(sources[1]?.options.size).toBe(0);
  });
});

describe('the mirrors', () => {
  test('are those of Debian, not of other vendors', () => {
    const sources = parseOneLine(`
deb https://packages.example/apt cloud-sdk-bookworm main
deb https://node.example/node_20.x nodistro main
deb http://mirror.example/debian trixie main
deb http://mirror.example/debian-security trixie-security main
`);
    const { archive, security } = chooseMirrors(sources);
    expect(archive.uri).toBe('http://mirror.example/debian');
    expect(security?.uri).toBe('http://mirror.example/debian-security');
  });

  test('need no security archive, but an archive', () => {
    expect(chooseMirrors(parseOneLine('deb http://mirror.example/debian sid main')).security).toBeUndefined();
    expect(() => chooseMirrors(parseOneLine('deb http://mirror.example/ubuntu noble main'))).toThrow(
      LabError,
    );
    expect(() => chooseMirrors([])).toThrow('names no Debian archive');
  });

  test('are read from sources.list, *.list and *.sources of a configuration folder', () => {
    const folder = mkdtempSync(join(tmpdir(), 'underwatch-sources-'));
    try {
      mkdirSync(join(folder, 'sources.list.d'));
      writeFileSync(join(folder, 'sources.list'), 'deb http://one.example/debian bookworm main\n');
      writeFileSync(
        join(folder, 'sources.list.d', 'b.list'),
        'deb http://two.example/debian bookworm main\n',
      );
      writeFileSync(
        join(folder, 'sources.list.d', 'a.sources'),
        'Types: deb\nURIs: http://three.example/d\nSuites: sid\n',
      );
      writeFileSync(join(folder, 'sources.list.d', 'c.sources.disabled'), DEB822);
      expect(readMachineSources(folder).map(({ uri }) => uri)).toEqual([
        'http://one.example/debian',
        'http://three.example/d',
        'http://two.example/debian',
      ]);
      expect(readMachineSources(join(folder, 'absent'))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

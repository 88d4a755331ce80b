import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cached, cacheFolder, isCached, lock } from '../../lab/cache.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'underwatch-cache-'));
  vi.stubEnv('UNDERWATCH_CACHE', folder);
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

describe('the cache folder', () => {
  test('is chosen by UNDERWATCH_CACHE, then XDG_CACHE_HOME', () => {
    expect(cacheFolder({ UNDERWATCH_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/underwatch');
    expect(cacheFolder({})).toMatch(/\/\.cache\/underwatch$/);
  });

  test('is filled once, however many ask at the same time', async () => {
    let fills = 0;
    const ask = () =>
      cached('things/one', async (target) => {
        fills++;
        await delay(30);
        writeFileSync(join(target, 'file'), 'content');
      });
    const paths = await Promise.all([ask(), ask(), ask()]);
    expect(new Set(paths)).toEqual(new Set([join(folder, 'things/one')]));
    expect(fills).toBe(1);
    expect(await isCached('things/one')).toBe(true);
  });

  test.each([
    ['a changed file', (path: string) => writeFileSync(join(path, 'file'), 'CONTENT')],
    ['a file that is gone', (path: string) => rmSync(join(path, 'file'))],
    ['a file too many', (path: string) => writeFileSync(join(path, 'other'), '')],
    ['a stamp cut short', (path: string) => writeFileSync(join(path, 'stamp.json'), '{')],
  ])('notices %s and fills again', async (_what, harm) => {
    const fill = async (target: string) => writeFileSync(join(target, 'file'), 'content');
    harm(await cached('thing', fill));
    expect(await isCached('thing')).toBe(false);
    const path = await cached('thing', fill);
    expect(readFileSync(join(path, 'file'), 'utf8')).toBe('content');
    expect(readdirSync(path).sort()).toEqual(['file', 'stamp.json']);
  });

  test('keeps nothing of a fill that failed', async () => {
    const failing = cached('thing', async (target) => {
      writeFileSync(join(target, 'half'), '');
      throw new Error('no network');
    });
    await expect(failing).rejects.toThrow('no network');
    expect(readdirSync(folder)).toEqual(['locks']);
  });
});

test('a lock is held by one at a time', async () => {
  const order: string[] = [];
  const work = async (name: string) => {
    await using _held = await lock(join(folder, 'lock'));
    order.push(`${name} in`);
    await delay(20);
    order.push(`${name} out`);
  };
  await Promise.all([work('a'), work('b'), work('c')]);
  for (let index = 0; index < order.length; index += 2) {
    expect(order[index + 1]).toBe(order[index]?.replace('in', 'out'));
  }
});

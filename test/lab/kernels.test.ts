import { describe, expect, test } from 'vitest';
import { LabError } from '../../lab/errors.ts';
import { candidatePackage, KERNELS, kernelRow } from '../../lab/kernels.ts';

describe('the table of guest kernels', () => {
  test('has the kernels of this version, each once', () => {
    const ids = KERNELS.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(['5.10', '6.1']));
    expect(new Set(ids).size).toBe(ids.length);
  });

  test.each(KERNELS)('$id names exact packages of its own version, newest first', (kernel) => {
    const packages = kernel.candidates.map((candidate) => candidatePackage(kernel, candidate));
    expect(packages.length).toBeGreaterThan(0);
    for (const { name, version } of packages) {
      expect(name).toMatch(/^linux-image-[0-9][\w.+~-]*-amd64$/);
      expect(name.endsWith('-cloud-amd64')).toBe(kernel.flavour === 'cloud');
      expect(version).toMatch(/^[0-9][\w.+~]*-[0-9]+$/);
      expect(version.startsWith(`${kernel.id.replace('-generic', '')}.`)).toBe(true);
    }
    const collator = new Intl.Collator('en', { numeric: true });
    const versions = packages.map(({ version }) => version);
    expect(versions).toEqual([...versions].sort(collator.compare).reverse());
  });

  test('names packages of both flavours', () => {
    const row = kernelRow('6.1');
    expect(candidatePackage(row, '6.1.0-9=6.1.27-1')).toEqual({
      name: 'linux-image-6.1.0-9-cloud-amd64',
      version: '6.1.27-1',
    });
    expect(candidatePackage({ ...row, flavour: 'generic' }, '6.1.0-9=6.1.27-1').name).toBe(
      'linux-image-6.1.0-9-amd64',
    );
  });

  test('says which kernels there are when asked for another', () => {
    expect(() => kernelRow('2.4')).toThrow(LabError);
    expect(() => kernelRow('2.4')).toThrow(/no guest kernel 2\.4; there are 5\.10, 6\.1/);
  });
});

import { expect, test } from 'vitest';
import { policyJsonSchema } from '../../src/guard/policy-schema.ts';

// Brought up to date by `vitest run test/guard/policy-schema.test.ts -u`.
test('the shipped JSON Schema is the one that policies are checked with', async () => {
  const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/policy.schema.json');
});

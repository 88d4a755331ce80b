import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { EVENT_VERSION, EventSchema, eventJsonSchema } from '../../src/alerts/event.ts';
import { EVENTS } from './samples.ts';

// Brought up to date by `vitest run test/alerts/event.test.ts -u`.
test('the shipped JSON Schema is the one that events are made by', async () => {
  const text = `${JSON.stringify(eventJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../schema/event.schema.json');
});

describe('EventSchema', () => {
  test.each(EVENTS.map((event) => [event.type, event] as const))('%s is valid', (_type, event) => {
    expect(v.safeParse(EventSchema, event).issues).toBeUndefined();
    expect(event.version).toBe(EVENT_VERSION);
  });

  test('there is a sample of every type', () => {
    const types = EventSchema.pipe[0].options.map((option) => option.entries.type.literal);
    expect(EVENTS.map((event) => event.type)).toEqual(types);
  });

  test.each([
    ['an unknown field', { extra: 1 }],
    ['an address that is a number', { address: 4096 }],
    ['no finding', { findings: [] }],
    ['another version', { version: 2 }],
    ['an unknown action', { action: 'ignored' }],
  ])('%s is refused', (_name, change) => {
    const alert = EVENTS.find((event) => event.type === 'alert');
    expect(v.safeParse(EventSchema, { ...alert, ...change }).success).toBe(false);
  });
});

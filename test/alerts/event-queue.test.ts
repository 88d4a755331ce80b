import { expect, test } from 'vitest';
import type { GuardEvent } from '../../src/alerts/event.ts';
import { EventQueue } from '../../src/alerts/event-queue.ts';
import { SAMPLES } from './samples.ts';

test('events are dated at once and delivered later, in order; what is left can be delivered at the end', async () => {
  const delivered: GuardEvent[] = [];
  const queue = new EventQueue({ emit: (event) => delivered.push(event) });
  const emitted = SAMPLES.slice(0, 3).map((body) => queue.emit(body));
  expect(delivered).toEqual([]);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(delivered).toEqual(emitted);
  for (const body of SAMPLES.slice(3)) queue.emit(body);
  queue.flush();
  queue.flush();
  expect(delivered.map(({ type }) => type)).toEqual(SAMPLES.map(({ type }) => type));
});

import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DoorbellRings, PolledRings } from '../../../src/hooks/detours/rings.ts';

class FakeDoorbell {
  readonly port = 0x5e9;
  ring: () => void = () => {};
  disposed = false;

  onRing(listener: () => void): void {
    this.ring = listener;
  }

  [Symbol.dispose](): void {
    this.disposed = true;
  }
}

test('a doorbell has the engine look whenever it rings, between start and stop', () => {
  const device = new FakeDoorbell();
  const rings = new DoorbellRings(device);
  let looks = 0;
  device.ring();
  rings.start(() => ++looks);
  device.ring();
  device.ring();
  expect(looks).toBe(2);
  expect(rings.port).toBe(0x5e9);
  rings.stop();
  device.ring();
  expect(looks).toBe(2);
  expect(device.disposed).toBe(true);
});

test('polling looks all the time, more often after a request, until it is stopped', async () => {
  const rings = new PolledRings();
  let looks = 0;
  let requests = 0;
  rings.start(() => {
    looks++;
    return requests;
  });
  await delay(50);
  const idle = looks;
  expect(idle).toBeGreaterThan(2);
  requests = 1;
  await delay(50);
  expect(looks - idle).toBeGreaterThan(4 * idle);
  rings.stop();
  const stopped = looks;
  await delay(20);
  expect(looks).toBe(stopped);
});

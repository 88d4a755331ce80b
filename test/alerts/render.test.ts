import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { GuardEvent } from '../../src/alerts/event.ts';
import { renderJson, renderLine } from '../../src/alerts/render.ts';
import { StreamSink } from '../../src/alerts/sink.ts';
import { EVENTS } from './samples.ts';

const ALERT = EVENTS.find((event) => event.type === 'alert') as Extract<GuardEvent, { type: 'alert' }>;

describe('renderLine', () => {
  test('each event is one line', () => {
    expect(EVENTS.map((event) => renderLine(event, { colour: false })).join('\n')).toMatchInlineSnapshot(`
      "00:00:00.000  guarding  qemu:/run/vm/qmp.sock: Linux 6.1.0-56-cloud-amd64 on QEMU 7.2.22 (TCG); 2 processes adopted, 1 hooks by breakpoint, machine stopped for 32 ms
      00:00:00.000  protected victim[77/78] uid 1000 /bin/victim (exec, block)
      00:00:00.000  released  victim[77], 3 pages examined
      00:00:00.000  KILLED    victim[77/78] uid 1000 /bin/victim at 0x7f0000001000 in anonymous rwxp 0x7f0000001000-0x7f0000002000: writable, pivot?; malicious, shell: runs /bin/sh (0.4 ms)
      00:00:00.000  problem   reading code: no memory (at 0x7f0000001000)
      00:00:00.000  stopped   1 alert, 1 killed, 1 fetch examined, 9 traps; 1 VMA and 2 pages given back"
    `);
  });

  test('colour only where it is asked for', () => {
    expect(renderLine(ALERT, { colour: true })).toContain('\u001b[31m');
    expect(renderLine(ALERT, { colour: false })).not.toContain('\u001b');
  });

  test('a name from the guest cannot control the terminal', () => {
    const hostile = { ...ALERT, process: { ...ALERT.process, comm: 'a\u001b[2J\nb\u202e' } };
    expect(renderLine(hostile, { colour: false })).toContain('a\\u{1b}[2J\\u{a}b\\u{202e}[77/78]');
  });
});

test('renderJson gives the event back', () => {
  expect(EVENTS.map((event) => JSON.parse(renderJson(event)))).toEqual(EVENTS);
});

describe('StreamSink', () => {
  test('writes a line an event', () => {
    const chunks: string[] = [];
    const stream = new Writable({
      write: (chunk, _encoding, done) => {
        chunks.push(String(chunk));
        done();
      },
    });
    const sink = new StreamSink(stream, 'ndjson');
    for (const event of EVENTS) sink.emit(event);
    expect(chunks.join('').trimEnd().split('\n')).toHaveLength(EVENTS.length);
    expect(sink.dropped).toBe(0);
  });

  test('a reader that went away costs events, not the guard', async () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
    const sink = new StreamSink(stream, 'text');
    sink.emit(ALERT);
    await new Promise((resolve) => setImmediate(resolve));
    sink.emit(ALERT);
    expect(sink.dropped).toBe(1);
  });
});

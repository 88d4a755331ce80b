import { styleText } from 'node:util';
import type { GuardEvent } from '../../alerts/event.ts';
import { renderLine } from '../../alerts/render.ts';
import { type Format, printJsonRows, printRows, type Row, TextOutput } from '../output.ts';

/** How one program of the demo ended. */
export interface ProgramOutcome {
  readonly program: string;
  readonly kind: 'attack' | 'benign';
  readonly summary: string;
  readonly guarded: boolean;
  /** `stopped`, `unharmed` and `succeeded` (an attack on an unguarded guest) are as it should be; the others are not. */
  readonly outcome: 'stopped' | 'unharmed' | 'succeeded' | 'NOT STOPPED' | 'HARMED' | 'DID NOT RUN';
  /** How the process ended: `status 0`, `signal 9`. */
  readonly ended: string;
  /** From the first trap to its answer, in milliseconds; null where nothing was caught. */
  readonly verdictMs: number | null;
}

/** Tells what the demo does: as text with a table at the end, or the same as events. */
export class DemoReport {
  readonly #format: Format;
  readonly #output = new TextOutput();
  readonly #events: Row[] = [];
  readonly #colour: boolean;

  constructor(format: Format) {
    this.#format = format;
    this.#colour = format === 'table' && process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  }

  /** A step of the demo: a heading and lines for people, an event of that type for programs. */
  async step(type: string, heading: string, lines: readonly string[], data: Row): Promise<void> {
    if (this.#format !== 'table') return this.#event({ type: `demo.${type}`, ...data });
    await this.#output.line('');
    await this.#output.line(this.#colour ? styleText('bold', heading) : heading);
    for (const line of lines) await this.#output.line(`  ${line}`);
    await this.#output.flush();
  }

  /** An event of the guard, as it happens. */
  guardEvent(event: GuardEvent): void {
    if (this.#format !== 'table') void this.#event(event as unknown as Row);
    else void this.#output.line(`  ${renderLine(event, { colour: this.#colour })}`);
  }

  /** The table at the end; its rows are events, too. */
  async outcomes(outcomes: readonly ProgramOutcome[]): Promise<void> {
    if (this.#format !== 'table') {
      for (const outcome of outcomes) await this.#event({ type: 'demo.outcome', ...outcome });
      return;
    }
    await this.#output.line('');
    await this.#output.flush();
    await printRows(
      outcomes.map((outcome) => ({ ...outcome, guarded: outcome.guarded ? 'yes' : 'no' })),
      [
        { field: 'program', heading: 'PROGRAM' },
        { field: 'kind', heading: 'KIND' },
        { field: 'guarded', heading: 'GUARDED' },
        { field: 'outcome', heading: 'OUTCOME' },
        { field: 'ended', heading: 'ENDED BY' },
        { field: 'verdictMs', heading: 'VERDICT MS', align: 'right' },
        { field: 'summary', heading: 'WHAT IT DOES' },
      ],
      'table',
    );
  }

  async end(): Promise<void> {
    if (this.#format === 'json') await printJsonRows(this.#events, 'json', this.#output);
    await this.#output.flush();
  }

  async #event(event: Row): Promise<void> {
    if (this.#format === 'json') {
      this.#events.push(event);
      return;
    }
    await this.#output.line(JSON.stringify(event));
    await this.#output.flush();
  }
}

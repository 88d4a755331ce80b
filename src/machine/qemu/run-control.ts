import * as v from 'valibot';
import type { QmpClient } from './qmp.ts';

/** Pausing and running the whole machine beside the debugger. */
export interface RunControl {
  /** QEMU's run state: `running`, `paused`, `debug` (a debugger stopped it), `prelaunch`, ... */
  state(): Promise<string>;
  pause(): Promise<void>;
  run(): Promise<void>;
  /** Calls `listener` each time the machine begins to run, whoever made it. */
  onRun(listener: () => void): Disposable;
}

const Status = v.object({ status: v.string() });

/** Run control by QMP. */
export function qmpRunControl(qmp: QmpClient): RunControl {
  return {
    state: async () => (await qmp.query(Status, 'query-status')).status,
    pause: async () => {
      await qmp.execute('stop');
    },
    run: async () => {
      await qmp.execute('cont');
    },
    onRun: (listener) =>
      qmp.onEvent((event) => {
        if (event === 'RESUME') listener();
      }),
  };
}

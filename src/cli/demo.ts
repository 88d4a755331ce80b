import { Command, Option } from 'commander';
import { KERNELS } from '../../lab/kernels.ts';
import { DemoReport } from './demo/report.ts';
import { runDemo } from './demo/run-demo.ts';
import { EXIT } from './exit-status.ts';
import { formatOption } from './options.ts';
import type { Format } from './output.ts';

/** `underwatch demo`: boots a real guest, attacks it, shows what was stopped. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('boot a real guest, attack it, show what was stopped')
    .addOption(
      new Option('-k, --kernel <ID>', "the guest's kernel")
        .choices(KERNELS.map(({ id }) => id))
        .default('6.1'),
    )
    .addOption(formatOption())
    .action(async ({ kernel, format }: { kernel: string; format: Format }) => {
      const report = new DemoReport(format);
      const asItShould = await runDemo(kernel, report);
      await report.end();
      process.exitCode = asItShould ? EXIT.clean : EXIT.detections;
    });
}

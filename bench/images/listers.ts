import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Peer, Peers } from '../../lab/peers.ts';
import type { Lister } from './measure.ts';
import type { Images } from './workload.ts';

const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** A line for each VMA of each process, as drgn's own helpers give them. */
const LIST_SCRIPT = `
import sys
from drgn.helpers.linux.mm import for_each_vma
from drgn.helpers.linux.pid import for_each_task

lines = []
for task in for_each_task(prog):
    if task.pid.value_() != task.tgid.value_() or not task.mm:
        continue
    pid = task.tgid.value_()
    for vma in for_each_vma(task.mm):
        lines.append(f"{pid} {vma.vm_start.value_():x}-{vma.vm_end.value_():x} {vma.vm_flags.value_():x}\\n")
sys.stdout.write("".join(lines))
`;

/** The same walk again and again in one process, without the printing: seconds, a line each. */
const LOOP_SCRIPT = `
import time
from drgn.helpers.linux.mm import for_each_vma
from drgn.helpers.linux.pid import for_each_task

for _ in range(5):
    start = time.perf_counter()
    for task in for_each_task(prog):
        if task.pid.value_() != task.tgid.value_() or not task.mm:
            continue
        for vma in for_each_vma(task.mm):
            vma.vm_start.value_(), vma.vm_end.value_(), vma.vm_flags.value_()
    print(time.perf_counter() - start)
`;

/** This project's command line on an image. */
export function underwatch(image: string): Lister {
  return { command: process.execPath, args: [CLI, 'maps', image, '--format', 'ndjson'] };
}

/** The peers' commands on the images of one guest; their scripts are written into a folder. */
export class PeerListers {
  readonly #peers: Peers;
  readonly #images: Images;
  readonly #scripts: { readonly list: string; readonly loop: string; readonly crash: string };

  constructor(peers: Peers, images: Images, folder: string) {
    this.#peers = peers;
    this.#images = images;
    const script = (name: string, text: string) => {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    };
    this.#scripts = {
      list: script('list_vmas.py', LIST_SCRIPT),
      loop: script('loop_vmas.py', LOOP_SCRIPT),
      crash: script('crash_commands', 'foreach vm\nquit\n'),
    };
  }

  drgn(image: string): Lister {
    return this.#drgn(image, this.#scripts.list);
  }

  /** See {@link LOOP_SCRIPT}. */
  drgnLoop(image: string): Lister {
    return this.#drgn(image, this.#scripts.loop);
  }

  crash(image: string): Lister {
    const { vmlinux } = this.#images;
    return lister(this.#peers.crash, ['-s', vmlinux, image, '-i', this.#scripts.crash]);
  }

  /** Without the architecture, drgn does not open a kdump file. */
  #drgn(image: string, script: string): Lister {
    const { vmlinux } = this.#images;
    return lister(this.#peers.drgn, ['-q', '--architecture', 'x86_64', '-c', image, '-s', vmlinux, script]);
  }
}

function lister({ command, args, env }: Peer, more: readonly string[]): Lister {
  return { command, args: [...args, ...more], env };
}

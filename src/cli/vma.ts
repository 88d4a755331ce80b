import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { rootDirectory } from '../linux/files/root.ts';
import type { Kernel } from '../linux/kernel.ts';
import { formatDevice, listMaps } from '../linux/maps.ts';
import { findVma } from '../linux/mm/find.ts';
import { VmaCursor } from '../linux/mm/vma-cursor.ts';
import type { Task } from '../linux/task.ts';
import { snapshotVma, vmaPageCount } from '../linux/vma.ts';
import { type GuestVirtualAddress, hex, highWord, lowWord } from '../memory/address.ts';
import { type OpenOptions, openTarget } from '../target.ts';
import { formatOption, parseAddress, parsePid, ramLayoutOption, targetArgument } from './options.ts';
import { type Format, jsonInteger, printable, printObject, type Row } from './output.ts';
import { requireUserProcess } from './process.ts';

type VmaOptions = { pid: number; address: GuestVirtualAddress; format: Format } & OpenOptions;

/** `underwatch vma TARGET --pid N --address A`: the VMA that an address lies in. */
export function vmaCommand(): Command {
  return new Command('vma')
    .description('show the VMA that an address lies in')
    .addArgument(targetArgument())
    .requiredOption('-p, --pid <PID>', 'the process', parsePid)
    .requiredOption('-a, --address <ADDRESS>', 'a user address, hexadecimal', parseAddress)
    .addOption(ramLayoutOption())
    .addOption(formatOption())
    .action(async (name: string, { pid, address, format, ...opening }: VmaOptions) => {
      await using target = await openTarget(name, opening);
      const row = vmaRow(target.kernel, requireUserProcess(target.kernel, pid), address);
      const lines = Object.entries(row).map(([field, value]): [string, string] => [
        field,
        value === '' ? '-' : printable(String(value)),
      ]);
      await printObject(row, lines, format);
    });
}

function vmaRow(kernel: Kernel, task: Task, address: GuestVirtualAddress): Row {
  const cursor = new VmaCursor();
  if (!findVma(kernel, task.mm, highWord(address), lowWord(address), cursor)) {
    throw new UsageError(`process ${task.tgid} has no VMA at ${hex(address)}`);
  }
  const vma = snapshotVma(kernel, cursor);
  const mapped = listMaps(kernel, task.mm, rootDirectory(kernel)).rows.find(
    ({ start }) => start === vma.start,
  );
  return {
    pid: task.tgid,
    comm: task.comm,
    start: hex(vma.start),
    end: hex(vma.end),
    pages: vmaPageCount(vma),
    perms: mapped?.permissions ?? '',
    offset: hex(vma.pageOffset << 12n),
    dev: mapped === undefined ? '' : formatDevice(mapped),
    inode: jsonInteger(mapped?.inode ?? 0n),
    path: mapped?.path ?? '',
    flags: hex(vma.flags),
    pageProtection: hex(vma.pageProtection),
    vmAreaStruct: hex(vma.address),
    file: hex(vma.file),
    anonVma: hex(vma.anonVma),
    operations: hex(vma.operations),
    mm: hex(task.mm),
  };
}

import { Argument, InvalidArgumentError, Option } from 'commander';
import { RAM_LAYOUTS } from '../machine/image/ram-layout.ts';
import { type GuestVirtualAddress, gva } from '../memory/address.ts';
import { FORMATS, type Format } from './output.ts';

/** The target of every command that reads a machine. */
export function targetArgument(): Argument {
  return new Argument('TARGET', 'qemu:PATH with PATH a QMP socket, or the path of a memory image');
}

/** `--format table|json|ndjson`. */
export function formatOption(): Option {
  return new Option('-f, --format <FORMAT>', 'how results are printed')
    .choices(FORMATS)
    .default('table' satisfies Format);
}

/** `--locate auto|registers|memory`. */
export function locateOption(): Option {
  return new Option('--locate <METHOD>', 'find the kernel by registers or from memory alone')
    .choices(['auto', 'registers', 'memory'])
    .default('auto');
}

/** `--ram-layout q35|pc|microvm`. */
export function ramLayoutOption(): Option {
  return new Option('--ram-layout <MACHINE>', 'of a raw image: the QEMU machine that its RAM is of').choices(
    RAM_LAYOUTS,
  );
}

/** Parses a process id. */
export function parsePid(text: string): number {
  const pid = Number(text);
  if (!/^\d+$/.test(text) || pid > 0x7fff_ffff)
    throw new InvalidArgumentError(`a process id is a number, not '${text}'.`);
  return pid;
}

/** Parses an address: hexadecimal with or without `0x`. */
export function parseAddress(text: string): GuestVirtualAddress {
  if (!/^(0x)?[0-9a-f]{1,16}$/i.test(text)) {
    throw new InvalidArgumentError(`an address is up to 16 hexadecimal digits, not '${text}'.`);
  }
  return gva(BigInt(text.toLowerCase().startsWith('0x') ? text : `0x${text}`));
}

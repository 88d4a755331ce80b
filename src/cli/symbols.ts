import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import type { KernelSymbol, SymbolTable } from '../linux/symbols.ts';
import { gva, hex } from '../memory/address.ts';
import { type OpenOptions, openTarget } from '../target.ts';
import { formatOption, ramLayoutOption, targetArgument } from './options.ts';
import { type Column, type Format, printRows, type Row } from './output.ts';

const COLUMNS: readonly Column[] = [
  { field: 'address', heading: 'ADDRESS' },
  { field: 'type', heading: 'TYPE' },
  { field: 'name', heading: 'NAME' },
];

type SymbolsOptions = { format: Format } & OpenOptions;

/** `underwatch symbols TARGET [PATTERN]`: the kernel's symbols, by name, glob or address. */
export function symbolsCommand(): Command {
  return new Command('symbols')
    .description('search the symbols of the kernel (kallsyms)')
    .addArgument(targetArgument())
    .argument('[PATTERN]', 'a name, a glob (quote it), or an address: the symbol that it lies in', '*')
    .addOption(ramLayoutOption())
    .addOption(formatOption())
    .action(async (name: string, pattern: string, { format, ...opening }: SymbolsOptions) => {
      await using target = await openTarget(name, opening);
      const rows = [...search(target.kernel.symbols, pattern)];
      if (rows.length === 0 && pattern !== '*') throw new UsageError(`the kernel has no symbol '${pattern}'`);
      await printRows(rows, COLUMNS, format);
    });
}

function* search(symbols: SymbolTable, pattern: string): Generator<Row> {
  if (/^0x[0-9a-f]{1,16}$/i.test(pattern)) {
    const symbol = symbols.nearest(gva(BigInt(pattern)));
    if (symbol !== undefined) {
      const name = symbol.offset === 0 ? symbol.name : `${symbol.name}+${hex(symbol.offset)}`;
      yield { ...symbolRow(symbol), name };
    }
    return;
  }
  for (const symbol of symbols.match(pattern)) yield symbolRow(symbol);
}

function symbolRow({ address, type, name }: KernelSymbol): Row {
  return { address: hex(address), type, name };
}

import type { QemuName } from './qemu.ts';

/** What a guest is booted with. */
export interface GuestOptions {
  /** Id of a row of the kernel table. */
  readonly kernel: string;
  /** One candidate of that row (`ABI=VERSION`) and no other, where the very package matters. */
  readonly candidate?: string;
  /** Which QEMU; by default the machine's own. Tests that stop often at breakpoints name the newest. */
  readonly qemu?: QemuName;
  /** Number of vCPUs; by default 1. */
  readonly cpus?: number;
  /** RAM in MiB; by default 256. */
  readonly memory?: number;
  /** QEMU's `-cpu`; by default what the kernel table says. */
  readonly cpu?: string;
  /** False leaves out the gdb socket. */
  readonly gdb?: boolean;
  /** False gives the guest RAM that no other process can map. */
  readonly sharedMemory?: boolean;
  /** Added to the kernel's command line. */
  readonly commandLine?: string;
  /** Added to QEMU's options. */
  readonly qemuArgs?: readonly string[];
}

/** Files and sockets of one guest, all in a folder that goes away with it. */
export interface GuestPaths {
  readonly folder: string;
  readonly initramfs: string;
  readonly control: string;
  readonly qmp: string;
  readonly gdb: string;
  readonly ram: string;
  readonly console: string;
}

/** The paths of a guest in `folder`. */
export function guestPaths(folder: string): GuestPaths {
  return {
    folder,
    initramfs: `${folder}/initramfs.cpio`,
    control: `${folder}/control.sock`,
    qmp: `${folder}/qmp.sock`,
    gdb: `${folder}/gdb.sock`,
    ram: `${folder}/ram`,
    console: `${folder}/console.log`,
  };
}

/** QEMU's options: q35 under TCG, a console written to a file, and the sockets that were asked for. */
export function qemuOptions(
  options: GuestOptions,
  boot: { readonly cpu: string; readonly vmlinuz: string },
  paths: GuestPaths,
): string[] {
  const memory = options.memory ?? 256;
  const args = [
    '-M',
    'q35',
    '-accel',
    'tcg',
    '-cpu',
    options.cpu ?? boot.cpu,
    '-smp',
    String(options.cpus ?? 1),
  ];
  args.push('-m', `${memory}M`, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot');
  args.push('-kernel', boot.vmlinuz, '-initrd', paths.initramfs);
  args.push('-append', `console=ttyS0 panic=-1 oops=panic ${options.commandLine ?? ''}`.trim());
  args.push('-serial', `file:${paths.console}`);
  args.push('-chardev', `socket,id=control,path=${paths.control},server=on,wait=off`);
  args.push('-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=control,name=underwatch.lab');
  args.push('-qmp', `unix:${paths.qmp},server=on,wait=off`);
  if (options.sharedMemory ?? true) {
    args.push('-object', `memory-backend-file,id=ram0,size=${memory}M,mem-path=${paths.ram},share=on`);
    args.push('-machine', 'memory-backend=ram0');
  }
  if (options.gdb ?? true) {
    args.push('-chardev', `socket,id=gdb0,path=${paths.gdb},server=on,wait=off`, '-gdb', 'chardev:gdb0');
  }
  return [...args, ...(options.qemuArgs ?? [])];
}

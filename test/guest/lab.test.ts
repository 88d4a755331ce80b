import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { bootGuest, type Guest } from '../../lab/guest.ts';
import { ATTACKS, BENIGN, commandOf, programNamed } from '../../lab/programs.ts';
import { kernelsUnderTest } from '../support/kernels.ts';

const CASES = kernelsUnderTest().flatMap((kernel) => [
  { kernel, qemu: 'system', cpus: 1 } as const,
  { kernel, qemu: 'newest', cpus: 2 } as const,
]);

describe.each(CASES)(
  'a guest with Linux $kernel on the $qemu QEMU with $cpus vCPU',
  ({ kernel, qemu, cpus }) => {
    let guest: Guest;
    beforeAll(async () => {
      guest = await bootGuest({ kernel, qemu, cpus });
    });
    afterAll(async () => {
      await guest?.[Symbol.asyncDispose]();
    });

    test('runs the kernel that was asked for', async () => {
      const { output } = await guest.run('uname -r; nproc');
      expect(output).toMatch(new RegExp(`^${kernel.replace('.', '\\.')}\\.`));
      expect(output.trim().split('\n')[1]).toBe(String(cpus));
      expect(guest.kernel.package).toContain(`linux-image-${kernel}`);
      expect(guest.log()).toContain(`Linux version ${kernel}.`);
    });

    test('offers its sockets and its RAM', async () => {
      expect(statSync(guest.ramFile ?? '').size).toBe(256 * 2 ** 20);
      expect(statSync(guest.gdbSocket ?? '').isSocket()).toBe(true);
      expect(await greeting(guest.qmpSocket)).toContain('"QMP"');
      expect(readFileSync(`/proc/${guest.qemuPid}/cmdline`, 'utf8')).toContain(guest.qmpSocket);
    });

    test('ends a command whose reader has gone', async () => {
      expect((await guest.run('yes | head -c 100000 | wc -c', { timeout: 10_000 })).output.trim()).toBe(
        '100000',
      );
    });

    test('tells exit status, signal and output of a command', async () => {
      expect(await guest.run('echo out; echo err >&2; exit 3')).toEqual({ status: 3, output: 'out\nerr\n' });
      expect(await guest.run('kill -11 $$')).toEqual({ status: 139, signal: 11, output: '' });
      expect((await guest.run('/no/such/program')).status).toBe(127);
      expect((await guest.run('seq 100000')).output.length).toBe(588895);
    });

    test('runs several commands at the same time', async () => {
      const started = performance.now();
      const [slow, ...quick] = await Promise.all([
        guest.run('sleep 1; echo slow'),
        ...Array.from({ length: 20 }, (_, index) => guest.run(`echo ${index}`)),
      ]);
      expect(slow.output).toBe('slow\n');
      expect(quick.map(({ output }) => output.trim())).toEqual(
        Array.from({ length: 20 }, (_, index) => `${index}`),
      );
      expect(performance.now() - started).toBeLessThan(20_000);
    });

    test('gives a spawned command its own pid, output so far, signals and end', async () => {
      const sleeper = await guest.spawn('sleep 1000');
      const name = async () => (await guest.readFile(`/proc/${sleeper.pid}/comm`)).toString();
      await expect.poll(name).toBe('sleep\n');
      sleeper.kill(15);
      expect(await sleeper.wait()).toEqual({ status: 143, signal: 15, output: '' });
      const talker = await guest.spawn('echo first; read line < /dev/zero; sleep 1000');
      await expect.poll(() => talker.output()).toBe('first\n');
      talker.kill();
      expect((await talker.wait()).signal).toBe(9);
    });

    test('ends a command that takes too long', async () => {
      await expect(guest.run('echo begun; sleep 1000', { timeout: 500 })).rejects.toThrow(
        /within 500 ms.*begun/s,
      );
      expect((await guest.run('ps')).output).not.toContain('sleep 1000');
    });

    test('reads and writes files byte for byte, also large ones and those of /proc', async () => {
      const content = Uint8Array.from({ length: 1_500_001 }, (_, index) => (index * 31) & 0xff);
      await guest.writeFile('/tmp/binary', content);
      expect(new Uint8Array(await guest.readFile('/tmp/binary'))).toEqual(content);
      expect((await guest.readFile('/proc/self/maps')).toString()).toContain('[stack]');
      await expect(guest.readFile('/no/such/file')).rejects.toThrow('No such file');
    });

    test('sends the maps of 50 processes in well under a second', async () => {
      const loops = await Promise.all(Array.from({ length: 50 }, () => guest.spawn('sleep 1000')));
      const started = performance.now();
      const maps = await Promise.all(loops.map(({ pid }) => guest.readFile(`/proc/${pid}/maps`)));
      const elapsed = performance.now() - started;
      for (const text of maps) expect(text.toString()).toContain('/bin/busybox');
      expect(elapsed).toBeLessThan(1000);
      for (const loop of loops) loop.kill();
      await Promise.all(loops.map((loop) => loop.wait()));
    });

    test('has several mounts, one bound and one of a file', async () => {
      const { output } = await guest.run('cat /proc/mounts; ip addr show lo; ulimit -c');
      for (const mount of ['/tmp', '/mnt/data', '/mnt/bound', '/mnt/file', '/dev/shm']) {
        expect(output).toContain(` ${mount} tmpfs`);
      }
      expect(output).toContain('127.0.0.1/8');
      expect(output.trim().split('\n').at(-1)).toBe('0');
    });

    test.each(ATTACKS)('unprotected, the attack $name achieves its aim', async (program) => {
      const { status, signal, output } = await guest.run(commandOf(program));
      expect(output.split('\n')).toContain(program.achieves);
      expect(output).not.toContain('HANDLED');
      expect({ status, signal }).toEqual({ status: program.status, signal: undefined });
    });

    test.each(BENIGN)('the benign program $name ends well', async (program) => {
      const { status, signal, output } = await guest.run(commandOf(program));
      expect(output.trim().split('\n').at(-1)).toBe(program.achieves);
      expect({ status, signal }).toEqual({ status: program.status, signal: undefined });
    });

    test('maps_random logs every state of its map, and stops at checkpoints', async () => {
      const program = await guest.spawn('/lab/benign/maps_random 7 400 4 /tmp/random.log');
      for (let checkpoint = 1; checkpoint <= 4; checkpoint++) {
        await expect
          .poll(() => program.output(), { timeout: 20_000 })
          .toContain(`checkpoint ${checkpoint}\n`);
        await expect.poll(async () => stateOf(guest, program.pid)).toBe('T');
        const maps = (await guest.readFile(`/proc/${program.pid}/maps`)).toString('latin1');
        const log = (await guest.readFile('/tmp/random.log')).toString('latin1');
        expect(rowsAtEndOf(log)).toEqual(rowsOf(maps));
        program.kill(18);
      }
      expect(await program.wait()).toMatchObject({ status: 0 });
      expect(program.output()).toContain(programNamed('maps_random').achieves.replace('500', '400'));
    });

    test('has a clean log after all this', () => {
      expect(guest.logProblems()).toEqual([]);
    });

    test('leaves no process and no file, and says so to whoever still asks', async () => {
      const pending = guest.run('sleep 1000');
      pending.catch(() => {});
      await guest[Symbol.asyncDispose]();
      await expect(pending).rejects.toThrow('the guest was stopped');
      await expect(guest.run('true')).rejects.toThrow('the guest was stopped');
      expect(existsSync(`/proc/${guest.qemuPid}`)).toBe(false);
      expect(existsSync(dirname(guest.qmpSocket))).toBe(false);
      expect(guest.log()).toContain('Run /init');
    });
  },
);

describe('boot options', () => {
  const [kernel = '6.1'] = kernelsUnderTest();

  test('leave out the gdb socket and shared RAM', async () => {
    await using guest = await bootGuest({ kernel, gdb: false, sharedMemory: false });
    expect(guest.gdbSocket).toBeUndefined();
    expect(guest.ramFile).toBeUndefined();
    expect(existsSync(`${dirname(guest.qmpSocket)}/ram`)).toBe(false);
    expect(existsSync(`${dirname(guest.qmpSocket)}/gdb.sock`)).toBe(false);
    expect((await guest.run('echo alive')).output).toBe('alive\n');
  });

  test('choose CPU, memory and the command line', async () => {
    await using guest = await bootGuest({
      kernel,
      cpu: 'Nehalem',
      memory: 192,
      commandLine: 'underwatch.test=1',
    });
    const { output } = await guest.run('cat /proc/cmdline; grep "model name" /proc/cpuinfo');
    expect(output).toContain('underwatch.test=1');
    expect(output).toContain('Nehalem');
    expect(statSync(guest.ramFile ?? '').size).toBe(192 * 2 ** 20);
  });

  test('that QEMU refuses are said in one sentence and not tried again', async () => {
    await expect(bootGuest({ kernel, qemuArgs: ['-device', 'no-such-device'] })).rejects.toThrow(
      /^QEMU does not start the guest: .*no-such-device/,
    );
  });

  test('that the kernel cannot live with are tried three times, and said so', async () => {
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const booting = bootGuest({ kernel, commandLine: 'rdinit=/none root=/dev/none' });
    await expect(booting).rejects.toThrow(/^QEMU ended: .*Kernel panic/);
    const lines = said.mock.calls.map(([text]) => String(text));
    said.mockRestore();
    expect(lines.filter((line) => /failed .*Kernel panic.*; attempt [23]$/m.test(line))).toHaveLength(2);
  });
});

function greeting(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {});
    socket.once('error', reject);
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(String(bytes));
    });
  });
}

/** The state letter of a process (proc(5)). */
async function stateOf(guest: Guest, pid: number): Promise<string | undefined> {
  const stat = (await guest.readFile(`/proc/${pid}/stat`)).toString();
  return stat.slice(stat.lastIndexOf(')') + 2)[0];
}

function rowsOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

/** The rows that exist after the last operation of a log of maps_random. */
function rowsAtEndOf(log: string): string[] {
  const rows = new Set<string>();
  for (const line of log.split('\n')) {
    if (line.startsWith('-')) rows.delete(line.slice(1));
    if (line.startsWith('+')) rows.add(line.slice(1));
  }
  return [...rows].sort();
}

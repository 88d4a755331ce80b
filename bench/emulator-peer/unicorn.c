/*
 * The same samples in Unicorn: reads files of 4 KiB each from standard input (a 32-bit count first), runs each for at
 * most 256 instructions or until its first system call, and prints seconds and the sum of where the samples ended, for
 * one engine that is reused and for a fresh one each.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unicorn/unicorn.h>

#define CODE 0x400000ull
#define STACK 0x7fff0000ull
#define STACK_SIZE 0x10000ull
#define PAGE 4096
#define BUDGET 256

static const uint8_t zeroes[PAGE];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void stop(uc_engine *engine, void *data) {
  (void)data;
  uc_emu_stop(engine);
}

static uc_engine *start(void) {
  uc_engine *engine;
  uc_hook hook;
  if (uc_open(UC_ARCH_X86, UC_MODE_64, &engine) != UC_ERR_OK) exit(1);
  uc_mem_map(engine, CODE, PAGE, UC_PROT_ALL);
  uc_mem_map(engine, STACK, STACK_SIZE, UC_PROT_ALL);
  uc_hook_add(engine, &hook, UC_HOOK_INSN, stop, NULL, 1, 0, UC_X86_INS_SYSCALL);
  return engine;
}

/* Returns where the sample ended. Without the removal the engine would run its translation of the sample before. */
static uint64_t run(uc_engine *engine, const uint8_t *sample) {
  static const int registers[] = { UC_X86_REG_RAX, UC_X86_REG_RBX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RSI,
                                   UC_X86_REG_RDI, UC_X86_REG_RBP, UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10 };
  const uint64_t zero = 0, stack = STACK + STACK_SIZE / 2;
  for (unsigned i = 0; i < sizeof registers / sizeof *registers; i++) uc_reg_write(engine, registers[i], &zero);
  uc_reg_write(engine, UC_X86_REG_RSP, &stack);
  uc_mem_write(engine, CODE, sample, PAGE);
  uc_mem_write(engine, stack - PAGE, zeroes, PAGE);
  uc_ctl_remove_cache(engine, CODE, CODE + PAGE);
  uc_emu_start(engine, CODE, 0, 0, BUDGET);
  uint64_t end = 0;
  uc_reg_read(engine, UC_X86_REG_RIP, &end);
  return end;
}

int main(void) {
  uint32_t count;
  if (fread(&count, sizeof count, 1, stdin) != 1) return 1;
  uint8_t *samples = malloc((size_t)count * PAGE);
  if (samples == NULL || fread(samples, PAGE, count, stdin) != count) return 1;

  uc_engine *reused = start();
  run(reused, samples);
  uint64_t reused_ends = 0, fresh_ends = 0;
  double before = now();
  for (uint32_t i = 0; i < count; i++) reused_ends += run(reused, samples + (size_t)i * PAGE);
  const double with_reused = now() - before;
  uc_close(reused);

  before = now();
  for (uint32_t i = 0; i < count; i++) {
    uc_engine *fresh = start();
    fresh_ends += run(fresh, samples + (size_t)i * PAGE);
    uc_close(fresh);
  }
  printf("%.9f %llu %.9f %llu\n", with_reused, (unsigned long long)reused_ends, now() - before,
         (unsigned long long)fresh_ends);
  return 0;
}

/*
 * Runs code on the host CPU: reads cases from standard input, runs each in a forked child under ptrace and writes
 * what it left behind. The layout of both structures is repeated in host-cpu.ts.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE 0x10000000ul
#define DATA 0x20000000ul
#define STACK 0x30000000ul
#define DATA_FROM 0xe00
#define STACK_FROM 0xf00
#define XSTATE_AVX 576

struct state {
  uint64_t general[16];
  uint64_t flags;
  uint64_t mmx[8];
  uint8_t vectors[16][32];
  uint8_t data[1024];
  uint8_t stack[512];
};

struct test {
  uint32_t bits;
  uint32_t length;
  uint8_t code[128];
  struct state state;
};

struct result {
  uint32_t signal;
  uint32_t pad;
  uint64_t rip;
  struct state state;
};

static uint8_t xstate[65536] __attribute__((aligned(64)));
static size_t xstate_size;
static pid_t child;

static void map(unsigned long address, int protection) {
  void *at = mmap((void *)address, 8192, protection, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != (void *)address) { perror("mmap"); exit(1); }
}

static void start_child(void) {
  child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
}

static void check(long outcome, const char *what) {
  if (outcome < 0) { perror(what); exit(1); }
}

static void on_alarm(int signal) {
  (void)signal;
  kill(child, SIGSTOP);
}

static void load(const struct test *test, struct user_regs_struct *regs) {
  const struct state *s = &test->state;
  memset((void *)DATA, 0, 8192);
  memset((void *)STACK, 0, 8192);
  memcpy((void *)(DATA + DATA_FROM), s->data, sizeof s->data);
  memcpy((void *)(STACK + STACK_FROM), s->stack, sizeof s->stack);
  memset((void *)CODE, 0xcc, 8192);
  memcpy((void *)CODE, test->code, test->length);

  const uint64_t *g = s->general;
  regs->rax = g[0]; regs->rcx = g[1]; regs->rdx = g[2]; regs->rbx = g[3];
  regs->rsp = g[4]; regs->rbp = g[5]; regs->rsi = g[6]; regs->rdi = g[7];
  regs->r8 = g[8]; regs->r9 = g[9]; regs->r10 = g[10]; regs->r11 = g[11];
  regs->r12 = g[12]; regs->r13 = g[13]; regs->r14 = g[14]; regs->r15 = g[15];
  regs->orig_rax = -1;
  regs->rip = CODE;
  regs->eflags = s->flags;
  regs->cs = test->bits == 64 ? 0x33 : 0x23;
  regs->ss = 0x2b;
  regs->ds = regs->es = test->bits == 64 ? 0 : 0x2b;
  check(ptrace(PTRACE_SETREGS, child, 0, regs), "PTRACE_SETREGS");

  for (int i = 0; i < 8; i++) {
    memcpy(xstate + 32 + 16 * i, &s->mmx[i], 8);
    memset(xstate + 40 + 16 * i, 0xff, 2);
  }
  xstate[0] = 0x7f; xstate[1] = 3; xstate[2] = xstate[3] = 0; xstate[4] = 0xff;
  uint32_t mxcsr = 0x1f80;
  memcpy(xstate + 24, &mxcsr, 4);
  for (int i = 0; i < 16; i++) {
    memcpy(xstate + 160 + 16 * i, s->vectors[i], 16);
    memcpy(xstate + XSTATE_AVX + 16 * i, s->vectors[i] + 16, 16);
  }
  xstate[512] |= 7;
  struct iovec vector = { xstate, xstate_size };
  check(ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &vector), "PTRACE_SETREGSET");
}

static void store(struct result *result, const struct user_regs_struct *regs) {
  struct state *s = &result->state;
  uint64_t general[16] = { regs->rax, regs->rcx, regs->rdx, regs->rbx, regs->rsp, regs->rbp, regs->rsi, regs->rdi,
                           regs->r8, regs->r9, regs->r10, regs->r11, regs->r12, regs->r13, regs->r14, regs->r15 };
  memcpy(s->general, general, sizeof general);
  s->flags = regs->eflags;
  result->rip = regs->rip;
  memcpy(s->data, (void *)(DATA + DATA_FROM), sizeof s->data);
  memcpy(s->stack, (void *)(STACK + STACK_FROM), sizeof s->stack);
  struct iovec vector = { xstate, sizeof xstate };
  check(ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &vector), "PTRACE_GETREGSET");
  uint64_t present;
  memcpy(&present, xstate + 512, 8);
  for (int i = 0; i < 8; i++) memcpy(&s->mmx[i], xstate + 32 + 16 * i, 8);
  for (int i = 0; i < 16; i++) {
    memcpy(s->vectors[i], xstate + 160 + 16 * i, 16);
    if (present & 4) memcpy(s->vectors[i] + 16, xstate + XSTATE_AVX + 16 * i, 16);
    else memset(s->vectors[i] + 16, 0, 16);
    if (!(present & 2)) memset(s->vectors[i], 0, 16);
  }
}

int main(void) {
  map(CODE, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA, PROT_READ | PROT_WRITE);
  map(STACK, PROT_READ | PROT_WRITE);
  signal(SIGALRM, on_alarm);
  start_child();
  struct user_regs_struct original;
  check(ptrace(PTRACE_GETREGS, child, 0, &original), "PTRACE_GETREGS");
  struct iovec vector = { xstate, sizeof xstate };
  check(ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &vector), "PTRACE_GETREGSET");
  xstate_size = vector.iov_len;

  static struct test test;
  while (fread(&test, sizeof test, 1, stdin) == 1) {
    static struct result result;
    struct user_regs_struct regs = original;
    load(&test, &regs);
    alarm(2);
    check(ptrace(PTRACE_CONT, child, 0, 0), "PTRACE_CONT");
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    alarm(0);
    if (!WIFSTOPPED(status)) { fprintf(stderr, "child ended\n"); return 1; }
    check(ptrace(PTRACE_GETREGS, child, 0, &regs), "PTRACE_GETREGS");
    result.signal = WSTOPSIG(status);
    store(&result, &regs);
    if (fwrite(&result, sizeof result, 1, stdout) != 1) return 1;
  }
  kill(child, SIGKILL);
  return 0;
}

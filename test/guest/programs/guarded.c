/*
 * What the guard's tests need besides the lab's programs; argument 1 says which. All run functions that they compile
 * themselves; only `pivot` and `resident` do so in a way that protection should stop.
 */
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

#include "../../../lab/programs/lab.h"

typedef int (*compiled)(void);

/* Writes a function that returns a number, and makes its page executable. */
static compiled compile(unsigned char *page, int number, int protection)
{
    compiled function;
    unsigned char code[] = { 0xb8, 0, 0, 0, 0, 0xc3 };
    check(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
    memcpy(code + 1, &number, 4);
    memcpy(page, code, sizeof code);
    check(mprotect(page, PAGE, protection) == 0, "mprotect");
    memcpy(&function, &page, sizeof function);
    return function;
}

static int compile_and_run(int cycles)
{
    unsigned char *page = map_anonymous(PAGE, PROT_READ | PROT_WRITE);
    int right = 0;
    for (int number = 0; number < cycles; number++)
        right += compile(page, number, PROT_READ | PROT_EXEC)() == number;
    munmap(page, PAGE);
    return right == cycles;
}

static void *thread_main(void *cycles)
{
    return (void *)(intptr_t)compile_and_run(*(int *)cycles);
}

/* Four threads compile in one address space, each in its own page. */
static int threads(int cycles)
{
    pthread_t ids[4];
    int right = 0;
    for (int index = 0; index < 4; index++)
        check(pthread_create(&ids[index], NULL, thread_main, &cycles) == 0, "pthread_create");
    for (int index = 0; index < 4; index++) {
        void *result;
        pthread_join(ids[index], &result);
        right += (int)(intptr_t)result;
    }
    return right == 4;
}

/* Children run what their parent compiled, before and after it ran there, and compile more. */
static int forks(int cycles)
{
    unsigned char *pages = map_anonymous(2 * PAGE, PROT_READ | PROT_WRITE);
    compiled run_before = compile(pages, 5, PROT_READ | PROT_EXEC);
    compiled not_run = compile(pages + PAGE, 6, PROT_READ | PROT_EXEC);
    int right = run_before() == 5;
    for (int index = 0; index < cycles; index++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(run_before() == 5 && not_run() == 6 && compile_and_run(3) ? 0 : 1);
        waitpid(child, &status, 0);
        right += status == 0;
    }
    return right == cycles + 1;
}

/* Children that share the memory until they load another program. */
static int spawns(int cycles)
{
    char *arguments[] = { "busybox", "true", NULL };
    char *environment[] = { NULL };
    int right = 0;
    for (int index = 0; index < cycles; index++) {
        pid_t child;
        int status = 1;
        check(posix_spawn(&child, "/bin/busybox", NULL, NULL, arguments, environment) == 0, "posix_spawn");
        waitpid(child, &status, 0);
        right += status == 0 && compile_and_run(1);
    }
    return right == cycles;
}

static void *compile_for_ever(void *nothing)
{
    while (compile_and_run(10))
        ;
    return nothing;
}

/* Three threads compile while the first loads another program (`replace`) or leaves (`leave`). */
static int interrupted(const char *how)
{
    pthread_t ids[3];
    for (int index = 0; index < 3; index++)
        check(pthread_create(&ids[index], NULL, compile_for_ever, NULL) == 0, "pthread_create");
    usleep(100000);
    if (strcmp(how, "replace") == 0)
        execl("/proc/self/exe", "guarded", "compile", "5", (char *)NULL);
    say("%s ok", how);
    exit(0);
}

static compiled in_handler;
static volatile sig_atomic_t handled;

static void handler(int number)
{
    (void)number;
    handled = in_handler();
}

/* Compiled code runs in a handler on an alternate signal stack. */
static int alternate(void)
{
    stack_t stack = { .ss_sp = map_anonymous(16 * PAGE, PROT_READ | PROT_WRITE), .ss_size = 16 * PAGE };
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
    check(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0, "sigaltstack");
    in_handler = compile(map_anonymous(PAGE, PROT_READ | PROT_WRITE), 9, PROT_READ | PROT_EXEC);
    raise(SIGUSR1);
    return handled == 9;
}

/* Attack: compiled code runs with the stack pointer in heap memory. */
static int pivot(void)
{
    unsigned char *stack = map_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    compiled function = compile(map_anonymous(PAGE, PROT_READ | PROT_WRITE), 11, PROT_READ | PROT_EXEC);
    int result;
    __asm__ volatile("mov %%rsp, %%r12\n\tmov %1, %%rsp\n\tcall *%2\n\tmov %%r12, %%rsp"
                     : "=a"(result)
                     : "r"(stack + 2 * PAGE), "r"(function)
                     : "r12", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    say("PWNED pivot");
    return result == 11;
}

/* Attack: code in writable and executable memory that has run before, and runs on; for argument 2 times 10 ms. */
static int resident(int cycles)
{
    compiled function = compile(map_anonymous(PAGE, PROT_READ | PROT_WRITE), 3, PROT_READ | PROT_WRITE | PROT_EXEC);
    int right = function() == 3;
    say("resident runs");
    for (int index = 0; index < cycles; index++) {
        usleep(10000);
        right += function() == 3;
    }
    return right == cycles + 1;
}

/* Waits, then runs memory that was executable all the time and had not run. */
static int armed(int cycles)
{
    compiled function = compile(map_anonymous(PAGE, PROT_READ | PROT_WRITE), 4, PROT_READ | PROT_EXEC);
    say("armed");
    usleep((useconds_t)cycles * 10000);
    return function() == 4;
}

int main(int argc, char **argv)
{
    check(argc == 3, "arguments");
    int cycles = atoi(argv[2]), right = 0;
    watch_signals();
    if (strcmp(argv[1], "compile") == 0)
        right = compile_and_run(cycles);
    else if (strcmp(argv[1], "threads") == 0)
        right = threads(cycles);
    else if (strcmp(argv[1], "forks") == 0)
        right = forks(cycles);
    else if (strcmp(argv[1], "spawns") == 0)
        right = spawns(cycles);
    else if (strcmp(argv[1], "replace") == 0 || strcmp(argv[1], "leave") == 0)
        right = interrupted(argv[1]);
    else if (strcmp(argv[1], "alternate") == 0)
        right = alternate();
    else if (strcmp(argv[1], "pivot") == 0)
        right = pivot();
    else if (strcmp(argv[1], "resident") == 0)
        right = resident(cycles);
    else if (strcmp(argv[1], "armed") == 0)
        right = armed(cycles);
    say("%s %s", argv[1], right ? "ok" : "wrong");
    return right ? 0 : 1;
}

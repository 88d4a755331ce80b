/*
 * Benign: gets real faults of its own and recovers from each in its handlers: reading an address where nothing is,
 * writing to a PROT_NONE page and to a read-only one, running a page that is not executable, and an undefined opcode.
 */
#include <setjmp.h>

#include "../lab.h"

static sigjmp_buf back;
static volatile sig_atomic_t got_signal, got_code;
static void *volatile got_address;

static void recover(int number, siginfo_t *info, void *context)
{
    (void)context;
    got_signal = number;
    got_code = info->si_code;
    got_address = info->si_addr;
    siglongjmp(back, 1);
}

static void read_from(unsigned char *address)
{
    (void)*(volatile unsigned char *)address;
}

static void write_to(unsigned char *address)
{
    *(volatile unsigned char *)address = 1;
}

static void run(unsigned char *address)
{
    void (*function)(void);
    memcpy(&function, &address, sizeof function);
    function();
}

static void undefined(unsigned char *address)
{
    (void)address;
    __asm__ volatile("ud2");
}

/* Does what must fault and checks the signal, its code and (unless NULL) its address. */
static void expect(const char *what, void (*act)(unsigned char *), unsigned char *address, int number, int code)
{
    got_signal = 0;
    if (sigsetjmp(back, 1) == 0)
        act(address);
    if (got_signal == number && got_code == code && (address == NULL || got_address == address))
        return;
    say("%s: signal %d code %d address %p", what, (int)got_signal, (int)got_code, got_address);
    exit(1);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = recover, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    unsigned char *closed = map_anonymous(PAGE, PROT_NONE);
    unsigned char *constant = map_anonymous(PAGE, PROT_READ);
    unsigned char *data = map_anonymous(PAGE, PROT_READ | PROT_WRITE);
    unsigned char *nothing = map_anonymous(PAGE, PROT_READ);
    memset(data, 0xc3, PAGE);
    munmap(nothing, PAGE);
    for (int round = 0; round < 10; round++) {
        expect("unmapped", read_from, nothing, SIGSEGV, SEGV_MAPERR);
        expect("PROT_NONE", write_to, closed, SIGSEGV, SEGV_ACCERR);
        expect("read-only", write_to, constant, SIGSEGV, SEGV_ACCERR);
        expect("not executable", run, data, SIGSEGV, SEGV_ACCERR);
        expect("undefined opcode", undefined, NULL, SIGILL, ILL_ILLOPN);
    }
    say("signals ok");
    return 0;
}

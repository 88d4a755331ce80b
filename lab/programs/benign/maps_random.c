/*
 * Benign: changes its own memory map at random and logs every state of it.
 *
 *   maps_random SEED OPERATIONS CHECKPOINTS LOG
 *
 * Each operation is one system call on an arena of 128 pages (or on the heap): maps of anonymous memory, files, shared
 * and System V memory; unmaps, changes of protection, moves, growth, splits by madvise, names, first writes. LOG gets a
 * line "op NUMBER WHAT" an operation, then the rows of /proc/self/maps that are gone ("-ROW") and that are new ("+ROW").
 * CHECKPOINTS times, evenly spread, it prints "checkpoint NUMBER" and stops itself until SIGCONT.
 */
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "map_files.h"
#include "map_log.h"

#define ARENA ((unsigned char *)0x100000000000)
#define ARENA_PAGES 128
#define RUN_PAGES 12 /* the most that one operation takes */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static uint64_t state;
static int zero_file;
static int shared_memory;
static char what[128];

/* A number below `bound` (xorshift64*, Vigna 2016). */
static unsigned below(unsigned bound)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (unsigned)((state * 2685821657736338717u) >> 33) % bound;
}

struct range {
    unsigned char *start;
    size_t length;
};

static struct range random_range(void)
{
    unsigned pages = 1 + below(RUN_PAGES);
    return (struct range){ ARENA + below(ARENA_PAGES - pages + 1) * PAGE, pages * PAGE };
}

/* A row of the last reading that lies in the arena, else a random range. */
static struct range random_row(void)
{
    const struct reading *reading = &readings[current];
    for (int attempt = 0; attempt < 16; attempt++) {
        unsigned long start, end;
        const char *row = reading->rows[below((unsigned)reading->count)];
        if (sscanf(row, "%lx-%lx", &start, &end) != 2 || start < (unsigned long)ARENA)
            continue;
        if (end <= (unsigned long)ARENA + ARENA_PAGES * PAGE)
            return (struct range){ (unsigned char *)start, end - start };
    }
    return random_range();
}

static int random_protection(void)
{
    static const int some[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
                                PROT_READ | PROT_WRITE | PROT_EXEC, PROT_WRITE, PROT_EXEC };
    return some[below(sizeof some / sizeof some[0])];
}

static void describe(const char *name, struct range range, long result)
{
    snprintf(what, sizeof what, "%s %p %zu pages -> %s", name, (void *)range.start, range.length / PAGE,
             result == -1 ? strerror(errno) : "done");
}

static void map_anonymous_memory(void)
{
    struct range range = random_range();
    int flags = MAP_FIXED | MAP_ANONYMOUS | (below(4) == 0 ? MAP_SHARED : MAP_PRIVATE);
    describe("map", range, (long)mmap(range.start, range.length, random_protection(), flags, -1, 0));
}

static void map_file(void)
{
    struct range range = random_range();
    int flags = MAP_FIXED | (below(3) == 0 ? MAP_SHARED : MAP_PRIVATE);
    int file = below(16) == 0 ? zero_file : files[below((unsigned)file_count)];
    off_t offset = (off_t)below(FILE_PAGES - RUN_PAGES) * PAGE;
    describe("map file", range, (long)mmap(range.start, range.length, random_protection(), flags, file, offset));
}

static void attach_shared_memory(void)
{
    struct range range = random_range();
    range.length = 4 * PAGE;
    if (range.start > ARENA + (ARENA_PAGES - 4) * PAGE)
        range.start = ARENA;
    describe("shmat", range, (long)shmat(shared_memory, range.start, SHM_REMAP | (below(2) ? SHM_RDONLY : 0)));
}

static void unmap(void)
{
    struct range range = below(2) ? random_range() : random_row();
    describe("unmap", range, munmap(range.start, range.length));
}

static void protect(void)
{
    struct range range = below(2) ? random_range() : random_row();
    describe("protect", range, mprotect(range.start, range.length, random_protection()));
}

static void move(void)
{
    struct range from = random_row(), to = random_range();
    if (from.length > RUN_PAGES * PAGE)
        from.length = RUN_PAGES * PAGE;
    if (to.start + from.length > ARENA + ARENA_PAGES * PAGE)
        to.start = ARENA + ARENA_PAGES * PAGE - from.length;
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    describe("move", from, (long)mremap(from.start, from.length, from.length, flags, to.start));
}

/* Grows or shrinks a mapping where it is; growth fails where something is in the way. */
static void resize(void)
{
    struct range range = random_row();
    size_t length = (1 + below(RUN_PAGES)) * PAGE;
    if (range.start + length > ARENA + ARENA_PAGES * PAGE)
        length = PAGE;
    describe("resize", range, (long)mremap(range.start, range.length, length, 0));
}

static void advise(void)
{
    static const int some[] = { MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_SEQUENTIAL, MADV_NORMAL, MADV_DONTNEED };
    struct range range = random_row();
    if (range.length > PAGE && below(2))
        range.length = PAGE;
    describe("advise", range, madvise(range.start, range.length, some[below(sizeof some / sizeof some[0])]));
}

static void name(void)
{
    static const char *const some[] = { "lab", "with space", "a longer name: 1 + 1 = 2", NULL };
    struct range range = random_row();
    describe("name", range, prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, range.start, range.length, some[below(4)]));
}

static void resize_heap(void)
{
    static unsigned char *base;
    if (base == NULL)
        base = (unsigned char *)(((uintptr_t)sbrk(0) + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    struct range range = { base, below(RUN_PAGES) * PAGE };
    describe("brk", range, brk(base + range.length));
}

/* Gives a page its memory (and the mapping its anon_vma): the kernel writes, so that a mapping that forbids it is no fault. */
static void touch(void)
{
    struct range range = random_row();
    unsigned char *page = range.start + below((unsigned)(range.length / PAGE)) * PAGE;
    describe("touch", (struct range){ page, PAGE }, read(zero_file, page, 8));
}

static void (*const operations[])(void) = {
    map_anonymous_memory, map_anonymous_memory, map_anonymous_memory, map_file, map_file, map_file,
    attach_shared_memory, unmap, unmap, protect, protect, protect, move, move, resize, advise, name, resize_heap, touch, touch,
};

static void stop_at(int checkpoint)
{
    say("checkpoint %d", checkpoint);
    raise(SIGSTOP);
}

int main(int argc, char **argv)
{
    static char output[BUFSIZ];
    setvbuf(stdout, output, _IOFBF, sizeof output);
    check(argc == 5, "usage: maps_random SEED OPERATIONS CHECKPOINTS LOG");
    int wanted = atoi(argv[2]), checkpoints = atoi(argv[3]);
    state = strtoull(argv[1], NULL, 10) * 2 + 1;
    log_file = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    zero_file = open("/dev/zero", O_RDWR | O_CLOEXEC);
    shared_memory = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
    check(log_file >= 0 && zero_file >= 0 && shared_memory >= 0, "open");
    open_files();
    log_operation(0, "start");
    for (int number = 1, reached = 0; number <= wanted; number++) {
        operations[below(sizeof operations / sizeof operations[0])]();
        log_operation(number, what);
        if (checkpoints > 0 && number * (long)checkpoints / wanted > reached)
            stop_at(++reached);
    }
    shmctl(shared_memory, IPC_RMID, NULL);
    say("maps_random ok %d", wanted);
    return 0;
}

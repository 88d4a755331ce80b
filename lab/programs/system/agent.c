/*
 * The lab's agent: runs commands in the guest for the host, over a virtio-serial port, and is the guest's first process.
 *
 * Frames go both ways: u32 length of what follows the header, u32 number of the job, u8 kind; little-endian.
 *   from the host:  'R' run a shell command    'F' send a file    'W' write a file (path, NUL, content)    'K' signal (u8)
 *   to the host:    'S' started (u32 pid)      'O' output         'D' data of a file
 *                   'E' ended (u32 wait status)                   'X' failed (text)
 *                   'H' ready, sent once
 * Jobs run at the same time. A job ends when its shell ends, after the output written until then, even if a child that
 * it left behind keeps the pipe open. A file is sent as 'D' frames and ended by 'E' with status 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_JOBS 64
#define CHUNK 32768
#define HEADER 9

struct job {
    uint32_t number;
    pid_t pid; /* 0: the slot is free */
    int output;
};

static struct job jobs[MAX_JOBS];
static int port;
static int null_input;

static void write_all(const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t written = write(port, at, length);
        if (written < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (written <= 0)
            return; /* the host has gone: the answer is lost, the guest lives on */
        at += written;
        length -= (size_t)written;
    }
}

static void read_all(void *target, size_t length)
{
    char *at = target;
    while (length > 0) {
        ssize_t got = read(port, at, length);
        if (got <= 0) {
            usleep(10000); /* no host is connected */
            continue;
        }
        at += got;
        length -= (size_t)got;
    }
}

static void send_frame(uint32_t number, char kind, const void *data, uint32_t length)
{
    static char frame[HEADER + CHUNK];
    memcpy(frame, &length, 4);
    memcpy(frame + 4, &number, 4);
    frame[8] = kind;
    memcpy(frame + HEADER, data, length);
    write_all(frame, HEADER + length);
}

static void send_word(uint32_t number, char kind, uint32_t word)
{
    send_frame(number, kind, &word, sizeof word);
}

static void send_failure(uint32_t number, const char *what)
{
    char text[256];
    int length = snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    send_frame(number, 'X', text, (uint32_t)length < sizeof text ? (uint32_t)length : sizeof text - 1);
}

static struct job *find_job(uint32_t number)
{
    for (int i = 0; i < MAX_JOBS; i++)
        if (jobs[i].pid != 0 && jobs[i].number == number)
            return &jobs[i];
    return NULL;
}

static struct job *free_job(void)
{
    for (int i = 0; i < MAX_JOBS; i++)
        if (jobs[i].pid == 0)
            return &jobs[i];
    errno = EBUSY;
    return NULL;
}

static void become_command(const char *command, int output)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    dup2(null_input, 0);
    dup2(output, 1);
    dup2(output, 2);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static void run(uint32_t number, const char *command)
{
    int ends[2];
    struct job *job = free_job();
    if (job == NULL || pipe2(ends, O_CLOEXEC) != 0) {
        send_failure(number, "run");
        return;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 18);
    pid_t pid = vfork(); /* so that the pid that is told is one of a shell, not still of the agent */
    if (pid == 0)
        become_command(command, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        send_failure(number, "vfork");
        return;
    }
    *job = (struct job){ number, pid, ends[0] };
    send_word(number, 'S', (uint32_t)pid);
}

/* Sends what the job has written so far; on end of file stops listening to it. */
static void drain(struct job *job)
{
    static char buffer[CHUNK];
    while (job->output >= 0) {
        ssize_t got = read(job->output, buffer, sizeof buffer);
        if (got > 0) {
            send_frame(job->number, 'O', buffer, (uint32_t)got);
        } else {
            if (got == 0) {
                close(job->output);
                job->output = -1;
            }
            return;
        }
    }
}

static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < MAX_JOBS; i++) {
            struct job *job = &jobs[i];
            if (job->pid != pid)
                continue;
            drain(job);
            if (job->output >= 0)
                close(job->output);
            job->pid = 0;
            send_word(job->number, 'E', (uint32_t)status);
        }
    }
}

static void send_file(uint32_t number, const char *path)
{
    static char buffer[CHUNK];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        send_failure(number, path);
        return;
    }
    ssize_t got;
    while ((got = read(file, buffer, sizeof buffer)) > 0)
        send_frame(number, 'D', buffer, (uint32_t)got);
    if (got < 0)
        send_failure(number, path);
    else
        send_word(number, 'E', 0);
    close(file);
}

static void write_file(uint32_t number, const char *body, uint32_t length)
{
    size_t path_length = strnlen(body, length) + 1;
    int file = open(body, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (file < 0) {
        send_failure(number, body);
        return;
    }
    for (size_t at = path_length; at < length;) {
        ssize_t written = write(file, body + at, length - at);
        if (written < 0) {
            send_failure(number, body);
            close(file);
            return;
        }
        at += (size_t)written;
    }
    close(file);
    send_word(number, 'E', 0);
}

static void receive(void)
{
    unsigned char header[HEADER];
    uint32_t length, number;
    read_all(header, HEADER);
    memcpy(&length, header, 4);
    memcpy(&number, header + 4, 4);
    char *body = malloc((size_t)length + 1);
    if (body == NULL)
        exit(1);
    read_all(body, length);
    body[length] = '\0';
    struct job *job = find_job(number);
    switch (header[8]) {
    case 'R':
        run(number, body);
        break;
    case 'F':
        send_file(number, body);
        break;
    case 'W':
        write_file(number, body, length);
        break;
    case 'K':
        if (job != NULL)
            kill(-job->pid, body[0]);
        break;
    }
    free(body);
}

int main(int argc, char **argv)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    signal(SIGPIPE, SIG_IGN);
    int child_events = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    null_input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    port = open(argc > 1 ? argv[1] : "/dev/vport0p1", O_RDWR | O_CLOEXEC);
    if (port < 0 || child_events < 0) {
        perror("agent");
        return 1;
    }
    send_frame(0, 'H', "", 0);
    for (;;) {
        struct pollfd events[MAX_JOBS + 2] = { { .fd = port, .events = POLLIN }, { .fd = child_events, .events = POLLIN } };
        for (int i = 0; i < MAX_JOBS; i++)
            events[i + 2] = (struct pollfd){ .fd = jobs[i].pid != 0 ? jobs[i].output : -1, .events = POLLIN };
        if (poll(events, MAX_JOBS + 2, -1) < 0)
            continue;
        for (int i = 0; i < MAX_JOBS; i++)
            if (events[i + 2].revents != 0)
                drain(&jobs[i]);
        if (events[1].revents & POLLIN) {
            struct signalfd_siginfo info[16];
            if (read(child_events, info, sizeof info) > 0)
                reap();
        }
        if (events[0].revents & POLLIN)
            receive();
        else if (events[0].revents & POLLHUP)
            usleep(10000); /* no host is connected */
    }
}

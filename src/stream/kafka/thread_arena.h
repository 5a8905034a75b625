/* One arena of the allocator for a worker and the threads of its clients.
 *
 * librdkafka allocates each record in one thread and frees it in another. jemalloc by default gives each
 * thread an arena of its own, and memory that is freed stays in all of them. With one arena, what one thread
 * frees the others can use at once. Without jemalloc (tests, sanitizers) these functions do nothing. */
#ifndef MS_KAFKA_THREAD_ARENA_H
#define MS_KAFKA_THREAD_ARENA_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

/* The calling thread takes its memory from an arena of its own from now on. */
void ms_thread_arena_own(void);

/* The threads of the client that |conf| will make share the calling thread's arena. */
bool ms_thread_arena_share(rd_kafka_conf_t *conf);

#endif

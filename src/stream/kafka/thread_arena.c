/* jemalloc's control calls, and librdkafka's hooks into its threads. */
#include "stream/kafka/thread_arena.h"

#include <stddef.h>
#include <stdint.h>

/* jemalloc's, where it is linked. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

void ms_thread_arena_own(void)
{
    unsigned arena;
    size_t size = sizeof arena;
    if (mallctl && mallctl("arenas.create", &arena, &size, NULL, 0) == 0)
        (void)mallctl("thread.arena", NULL, NULL, &arena, sizeof arena);
}

static rd_kafka_resp_err_t on_thread_start(rd_kafka_t *rk, rd_kafka_thread_type_t type, const char *name,
                                           void *context)
{
    unsigned arena = (unsigned)(uintptr_t)context;
    (void)rk;
    (void)type;
    (void)name;
    (void)mallctl("thread.arena", NULL, NULL, &arena, sizeof arena);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *context, char *text,
                                  size_t text_bytes)
{
    (void)conf;
    (void)text;
    (void)text_bytes;
    return rd_kafka_interceptor_add_on_thread_start(rk, "thread_arena", on_thread_start, context);
}

bool ms_thread_arena_share(rd_kafka_conf_t *conf)
{
    unsigned arena;
    size_t size = sizeof arena;
    if (!mallctl || mallctl("thread.arena", &arena, &size, NULL, 0) != 0)
        return false;
    (void)rd_kafka_conf_interceptor_add_on_new(conf, "thread_arena", on_new, (void *)(uintptr_t)arena);
    return true;
}

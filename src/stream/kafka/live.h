/* Users as a running service has them: those in memory and those in the database, as of the last commit that is known of. */
#ifndef MS_KAFKA_LIVE_H
#define MS_KAFKA_LIVE_H

#include "stream/hot.h"
#include "stream/kafka/service.h"
#include "stream/recent.h"
#include "user/user.h"

#define MS_LIVE_PARTITIONS 16   /* most partitions that are listed of a user that is in several */
#define MS_LIVE_WAIT_MS    3000 /* the longest wait for a worker, or for the commit of what it has folded */

struct ms_live_user {
    struct ms_user *user; /* complete; free with free() */
    uint16_t partitions[MS_LIVE_PARTITIONS];
    size_t partition_count;
};

/* Finds a user in the partitions that this instance holds; in |partition| where that is not negative. Never older than the last commit, and
 * never with what is not committed. MS_NOT_FOUND: none of the partitions has it. MS_KAFKA_RETRY: not now, because a partition that may have it
 * is not read yet, or a worker did not answer. Any thread; blocks for MS_LIVE_WAIT_MS at most, seldom for longer than a batch takes. */
enum ms_status ms_service_find_user(struct ms_service *service, struct ms_bytes id, int32_t partition,
                                    struct ms_live_user *found, struct ms_error *error) MS_MUST_CHECK;

/* The |limit| users with the most events of all workers, the most first. Free with free(). MS_KAFKA_RETRY, MS_MEMORY. */
enum ms_status ms_service_hot(struct ms_service *service, size_t limit, struct ms_hot_user **users,
                              size_t *count, struct ms_error *error) MS_MUST_CHECK;
/* The newest |limit| events of all workers, the oldest of them first. Free with free(). */
enum ms_status ms_service_recent(struct ms_service *service, size_t limit, struct ms_recent_event **events,
                                 size_t *count, struct ms_error *error) MS_MUST_CHECK;

#endif

/* What a worker tells of its partitions: rows that its thread writes now and then, and any thread copies. */
#ifndef MS_KAFKA_REPORT_H
#define MS_KAFKA_REPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/opening.h"

/* One source of a partition. Offsets are -1 where they are not known. */
struct ms_partition_report {
    int worker;
    int source; /* index into ms_sources; of a partition that is not open yet there is one row, of source 0 */
    int32_t partition;
    enum ms_partition_state state;
    char reason[MS_OPENING_REASON_BYTES]; /* what holds it while it waits, "" else */
    bool owes;                            /* users of it are owed a record: it takes no events meanwhile */
    int64_t committed;                    /* C */
    int64_t applied;                      /* L as stored or on its way to disk */
    int64_t next;                         /* the next offset to fold */
    int64_t replay_until;                 /* where the replay ends, 0: there is none */
    int64_t log_start, log_end;           /* as the client has heard last */
    int64_t last_time_ms;                 /* timestamp of the last record that was folded, 0: none was */
    int partitions;                       /* of the topic, 0: not known */
};

enum ms_client_kind { MS_CLIENT_CONSUMER, MS_CLIENT_PRODUCER, MS_CLIENT_KINDS };

struct ms_report {
    pthread_mutex_t lock;
    char
        *statistics[MS_CLIENT_KINDS]; /* of its clients, JSON of librdkafka, which frees it; NULL: none yet */
    struct ms_partition_report *rows;
    size_t count, capacity;
    bool assigned; /* an assignment has come, be it an empty one */
};

void ms_report_init(struct ms_report *report);
void ms_report_destroy(struct ms_report *report);

struct ms_worker;

/* Writes the rows anew, and the lag into the stats. The worker's thread; does not block. */
void ms_report_write(struct ms_worker *worker);
/* An assignment has come, of which the openings know: its rows are there before it is told. The worker's thread. */
void ms_report_assigned(struct ms_worker *worker);
/* The worker has no partitions and waits for some. The worker's thread. */
void ms_report_clear(struct ms_worker *worker);

/* Takes a client's newest statistics, and returns those before, which the caller frees with rd_kafka_mem_free. */
char *ms_report_statistics(struct ms_report *report, enum ms_client_kind kind, char *text);
/* A copy of the statistics, to free(); NULL where there are none, or without memory. Any thread. */
char *ms_report_copy_statistics(struct ms_report *report, enum ms_client_kind kind);

/* Appends a copy of the rows to *rows, an array of the caller's of *count rows, which may move. Any thread. False without
 * memory: nothing is changed then. */
bool ms_report_copy(struct ms_report *report, struct ms_partition_report **rows, size_t *count);

#endif

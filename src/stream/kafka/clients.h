/* Kafka clients as the service needs them: settings, error classes, waiting for brokers and topics. */
#ifndef MS_KAFKA_CLIENTS_H
#define MS_KAFKA_CLIENTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "mindstream/status.h"
#include "stream/kafka/broker_watch.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/in_flight.h"
#include "stream/kafka/input_logs.h"
#include "stream/kafka/limits.h"

/* Takes a client's statistics as JSON, in a poll, with its opaque pointer. 1: the text is the callee's, to rd_kafka_mem_free. */
typedef int ms_client_statistics(rd_kafka_t *rk, char *text, size_t size, void *opaque);

/* What a consumer calls, with |opaque|: |log| from its own threads. */
struct ms_consumer_callbacks {
    void (*rebalance)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *);
    void (*log)(const rd_kafka_t *, int, const char *, const char *); /* NULL: ms_kafka_log */
    bool single_records;              /* it reads a record here and there: little is fetched ahead */
    struct ms_broker_watch *watch;    /* NULL: none */
    ms_client_statistics *statistics; /* NULL: nobody wants them */
    void *opaque;
};

/* Logs a line of the client in the service's way. */
void ms_kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);

/* A consumer of the group with |instance| as its static member id (NULL: dynamic). It neither stores nor commits offsets by itself, fails where an offset is out of range,
 * reads committed records only, and tells the end of partitions. */
enum ms_status ms_consumer_new(rd_kafka_t **consumer, const struct ms_config *config, const char *client_id,
                               const char *instance, const struct ms_consumer_callbacks *callbacks,
                               struct ms_error *error) MS_MUST_CHECK;

/* A producer; with a transactional id a transactional one. |delivery|, when not NULL, is told of every
 * record that is refused; |in_flight|, when not NULL, counts its batches; |statistics|, when not NULL, is told of them. |batch_bytes| is the longest batch of several records, 0: as
 * configured. */
enum ms_status ms_producer_new(rd_kafka_t **producer, const struct ms_config *config, const char *client_id,
                               const char *transactional_id,
                               void (*delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *),
                               void *opaque, struct ms_in_flight *in_flight, ms_client_statistics *statistics,
                               size_t batch_bytes, struct ms_error *error) MS_MUST_CHECK;

/* A client for questions and admin requests. It needs no right to write: it is not idempotent. Of what
 * passes through it takes the producer's. */
enum ms_status ms_admin_new(rd_kafka_t **admin, const struct ms_config *config, const char *client_id,
                            struct ms_error *error) MS_MUST_CHECK;

/* Fills *error from a librdkafka error, which is destroyed. What it does not say can be tried again stops or
 * aborts. */
enum ms_status ms_kafka_failed(rd_kafka_error_t *failure, struct ms_error *error, const char *what);
enum ms_status ms_kafka_failed_code(rd_kafka_resp_err_t code, struct ms_error *error, const char *what);

/* The same as ms_kafka_failed, and says which access rule is missing where that is the reason (access.h). */
enum ms_status ms_kafka_failed_access(rd_kafka_error_t *failure, struct ms_error *error, const char *what,
                                      const struct ms_config *config, const char *operation,
                                      const char *topic);

/* The time-out for rd_kafka_seek_partitions that means |ms|: before version 2.1.0 (0x020100ff) the client takes
 * microseconds. |version| is rd_kafka_version(). */
int ms_kafka_seek_timeout(int version, int ms);

/* Whether waiting may mend it: brokers that are away, coordinators that move. */
bool ms_kafka_may_pass(rd_kafka_resp_err_t code);

/* init_transactions, tried again until it is done or |stop| is set (MS_KAFKA_RETRY then). *turns is counted up at each
 * try; NULL: not. */
enum ms_status ms_producer_begin(rd_kafka_t *producer, const struct ms_config *config,
                                 const char *transactional_id, const atomic_int *stop,
                                 _Atomic uint64_t *turns, struct ms_error *error) MS_MUST_CHECK;

/* MS_CONFIG when the settings of the producer do not let a record of this size through. */
enum ms_status ms_kafka_check_producer(rd_kafka_t *producer, size_t largest_record_bytes,
                                       struct ms_error *error) MS_MUST_CHECK;

/* Waits until the brokers answer and all topics of |config| exist, telling once what it waits for; with
 * fail_fast an error instead. Then fills *logs, asks what the topics that are written to take (*limits), and checks
 * that the largest record fits. MS_KAFKA_RETRY when |stop| was set meanwhile. */
enum ms_status ms_kafka_wait(const struct ms_config *config, size_t largest_record_bytes,
                             struct ms_input_logs *logs, struct ms_limits *limits, const atomic_int *stop,
                             struct ms_error *error) MS_MUST_CHECK;

#endif

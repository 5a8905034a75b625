/* librdkafka's hooks into requests. */
#include "stream/kafka/in_flight.h"

#include <unistd.h>

#define PRODUCE 0 /* the protocol's keys */
#define END_TXN 26
#define LOOK_US 500
#define QUIET   2 /* looks in a row at nothing: between an answer and the next batch is a moment */

static rd_kafka_resp_err_t on_sent(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id,
                                   int16_t key, int16_t version, int32_t correlation, size_t bytes,
                                   void *context)
{
    struct ms_in_flight *in_flight = context;
    (void)rk, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)bytes;
    if (key == PRODUCE) {
        atomic_fetch_add(&in_flight->batches, 1);
        atomic_fetch_add(&in_flight->sent, 1);
    } else if (key == END_TXN) {
        atomic_fetch_add(&in_flight->ends, 1);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_answered(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id,
                                       int16_t key, int16_t version, int32_t correlation, size_t bytes,
                                       int64_t rtt, rd_kafka_resp_err_t code, void *context)
{
    struct ms_in_flight *in_flight = context;
    (void)rk, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)bytes;
    (void)rtt, (void)code;
    if (key == PRODUCE)
        atomic_fetch_sub(&in_flight->batches, 1);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *context, char *text,
                                  size_t text_bytes)
{
    (void)conf, (void)text, (void)text_bytes;
    rd_kafka_resp_err_t code = rd_kafka_interceptor_add_on_request_sent(rk, "in_flight", on_sent, context);
    return code ? code : rd_kafka_interceptor_add_on_response_received(rk, "in_flight", on_answered, context);
}

void ms_in_flight_count(rd_kafka_conf_t *conf, struct ms_in_flight *in_flight)
{
    (void)rd_kafka_conf_interceptor_add_on_new(conf, "in_flight", on_new, in_flight);
}

void ms_in_flight_reset(struct ms_in_flight *in_flight)
{
    atomic_store(&in_flight->batches, 0);
    atomic_store(&in_flight->sent, 0);
    atomic_store(&in_flight->ends, 0);
}

bool ms_in_flight_end_repeated(struct ms_in_flight *in_flight)
{
    return atomic_load(&in_flight->ends) > 1;
}

bool ms_in_flight_any(struct ms_in_flight *in_flight)
{
    return atomic_load(&in_flight->batches) > 0;
}

void ms_in_flight_wait(struct ms_in_flight *in_flight, int most_ms)
{
    if (atomic_load(&in_flight->sent) == 0)
        return;
    for (int quiet = 0, us = 0; us < most_ms * 1000; us += LOOK_US) {
        quiet = ms_in_flight_any(in_flight) ? 0 : quiet + 1;
        if (quiet == QUIET)
            return;
        usleep(LOOK_US);
    }
}

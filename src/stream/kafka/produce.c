/* One record into the producer's queue. */
#include "stream/kafka/clients.h"
#include "stream/kafka/worker.h"

enum ms_status ms_produce(struct ms_worker *worker, rd_kafka_topic_t *topic, struct ms_bytes key,
                          struct ms_bytes value, int64_t time_ms, rd_kafka_headers_t *headers,
                          struct ms_error *error)
{
    rd_kafka_vu_t parts[6];
    parts[0].vtype = RD_KAFKA_VTYPE_RKT;
    parts[0].u.rkt = topic;
    parts[1].vtype = RD_KAFKA_VTYPE_KEY;
    parts[1].u.mem.ptr = (void *)(uintptr_t)key.data;
    parts[1].u.mem.size = key.size;
    parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
    parts[2].u.mem.ptr = (void *)(uintptr_t)value.data;
    parts[2].u.mem.size = value.size;
    parts[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[3].u.i = RD_KAFKA_MSG_F_COPY;
    parts[4].vtype = RD_KAFKA_VTYPE_HEADERS;
    parts[4].u.headers = headers;
    parts[5].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
    parts[5].u.i64 = time_ms;
    for (;;) {
        rd_kafka_error_t *failure = rd_kafka_produceva(worker->producer, parts, 6);
        if (!failure)
            return MS_OK;
        if (rd_kafka_error_code(failure) != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_headers_destroy(headers);
            return ms_kafka_failed(failure, error, rd_kafka_topic_name(topic));
        }
        rd_kafka_error_destroy(failure);
        if (ms_in_flight_any(&worker->in_flight))
            rd_kafka_poll(worker->producer, 5); /* what is on its way makes room */
        else
            rd_kafka_flush(worker->producer, 5); /* has what lingers sent */
    }
}

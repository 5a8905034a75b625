/* Reads single records of input topics, to tell by them whether a log is still the one that was read. */
#ifndef MS_KAFKA_RECORD_READER_H
#define MS_KAFKA_RECORD_READER_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "mindstream/status.h"

/* What is at an offset of a log. */
struct ms_spot {
    const char *topic;
    int32_t partition;
    int64_t offset;
    enum {
        MS_SPOT_UNREAD,
        MS_SPOT_RECORD,
        MS_SPOT_NO_RECORD, /* one is behind it */
        MS_SPOT_END,       /* none is behind it either, as far as the leader knows by now */
        MS_SPOT_NOT_IN_LOG
    } found;
    uint64_t digest; /* of a record: ms_landmark_digest */
};

/* Makes a consumer that is in no group; |config| outlives it. It is destroyed by rd_kafka_destroy. */
enum ms_status ms_record_reader_new(rd_kafka_t **reader, const struct ms_config *config,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Reads the spots, no two of one partition, for at most |most_ms|, as long as |goes_on| (which is asked every 100 ms).
 * What could not be read stays MS_SPOT_UNREAD. */
void ms_record_reader_read(rd_kafka_t *reader, struct ms_spot *spots, size_t count, int most_ms,
                           bool (*goes_on)(void *context), void *context);

#endif

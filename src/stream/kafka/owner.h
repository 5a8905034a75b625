/* Which other instance has a user: by the partition that the user's key must be in, and by what the partition's owner has left
 * beside its committed offset. Any thread. */
#ifndef MS_KAFKA_OWNER_H
#define MS_KAFKA_OWNER_H

#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "stream/kafka/service.h"

#define MS_OWNER_URL_BYTES 128 /* of http.advertise, with its end */
#define MS_OWNER_NOTE      " http="

/* The partition that the producers of the topic would put |id| into; -1 where that is not known. It is told by users that are here: where
 * murmur2 (of the Java client) or CRC-32 (of librdkafka) gives the partition of each of them, it gives that of others, too. */
int32_t ms_service_partition_of(struct ms_service *service, struct ms_bytes id);

/* Whether this instance holds the partition. */
bool ms_service_holds(struct ms_service *service, int32_t partition);

/* What the owner of a partition of the clicks has announced (http.advertise); "" where that is not known. Asks the group's coordinator, at most
 * every 5 s for a partition, and waits for 2 s at most. It is what the last commit of the partition has left: an owner that has committed
 * nothing yet is not known. */
void ms_service_owner(struct ms_service *service, int32_t partition, char url[MS_OWNER_URL_BYTES]);

#endif

/* Where the group and the logs of the input topic stand, asked by somebody who is not in the group. */
#ifndef MS_KAFKA_STANDING_H
#define MS_KAFKA_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "mindstream/status.h"

#define MS_STANDING_UNKNOWN (-2)

/* A member of the group, as the coordinator describes it. */
struct ms_standing_owner {
    char *member, *client, *host;
    char *instance; /* NULL: not a static member */
};

/* One partition of the clicks. Texts are freed by ms_standing_free. */
struct ms_standing {
    int32_t partition; /* in */
    int64_t applied;   /* in: L, the offset up to which the state is folded; negative: nothing is */
    /* Out, MS_STANDING_UNKNOWN where it was not told: */
    int64_t committed;  /* C; -1: none */
    int64_t begin, end; /* of the log */
    int64_t read_ms;    /* time of the last record below L, as the log has it; INT64_MIN: unknown */
    int64_t
        end_ms; /* time of the last record of the log, INT64_MIN: unknown. Both are known only where L < end */
    bool owners_known;
    struct ms_standing_owner owner; /* |member| NULL: nobody has it */
};

/* Asks for all of it. Blocks for |most_ms| and little more, whatever the brokers do. What is not told stays unknown, and is
 * not zero; the error is the first of them: MS_KAFKA, MS_CONFIG. Joins no group and commits nothing. */
enum ms_status ms_standing_ask(const struct ms_config *config, struct ms_standing *standings, size_t count,
                               int most_ms, struct ms_error *error) MS_MUST_CHECK;
void ms_standing_free(struct ms_standing *standings, size_t count);

#endif

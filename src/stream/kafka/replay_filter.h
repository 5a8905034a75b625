/* Tells the records of wanted users from others before a replay folds them. It decodes them as the engine will. */
#ifndef MS_KAFKA_REPLAY_FILTER_H
#define MS_KAFKA_REPLAY_FILTER_H

#include <stdbool.h>

#include "base/config.h"
#include "mindstream/status.h"
#include "stream/records.h"

struct ms_replay_filter;

/* |config| outlives it. One thread. Destroying NULL is legal. */
enum ms_status ms_replay_filter_new(struct ms_replay_filter **filter, const struct ms_config *config,
                                    bool (*wants)(const void *context, struct ms_bytes user),
                                    const void *context, struct ms_error *error) MS_MUST_CHECK;
void ms_replay_filter_destroy(struct ms_replay_filter *filter);

/* Whether the record changes a user that is wanted. Bad records change nobody. Without memory all are wanted: the engine
 * fails then. */
bool ms_replay_wants(struct ms_replay_filter *filter, const struct ms_input *input);

#endif

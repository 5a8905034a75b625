/* Users that earlier settings of the decoder may have had records of.
 *
 * What [L, C) published may have been decoded by other settings (struct ms_position: decoded_otherwise). Then records
 * that are another user's now, or nobody's, may have changed a user that no record of [L, C) changes any more: readers
 * would see it for good as it was. Whose a record was is not known, but the topic is keyed by user: so it was the one
 * that its key names, in any of the formats that keys have, or the one that the event names. All of these are owed a
 * record. */
#ifndef MS_STREAM_EARLIER_H
#define MS_STREAM_EARLIER_H

#include "stream/source.h"

struct ms_earlier;

/* |config| outlives it. Destroying NULL is legal. */
enum ms_status ms_earlier_new(struct ms_earlier **earlier, const struct ms_config *config,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_earlier_destroy(struct ms_earlier *earlier);

/* Adds the users that |input|, a record of a replay, may have been of; |decoded| is what it is now. Their ids hold as
 * long as its bytes and |arena| do. MS_MEMORY. */
enum ms_status ms_earlier_add(struct ms_earlier *earlier, const struct ms_input *input,
                              const struct ms_decoded *decoded, struct ms_arena *arena,
                              struct ms_error *error) MS_MUST_CHECK;

/* Takes all users that were added; the array holds until the next is added. */
struct ms_wanted *ms_earlier_take(struct ms_earlier *earlier, size_t *count);

#endif

/* How different the interests of published users are: the entropy of their weights and their pairwise cosines. */
#ifndef MS_STREAM_SPREAD_H
#define MS_STREAM_SPREAD_H

#include "mindstream/extract.h"
#include "stream/stats.h"

#define MS_SPREAD_EVERY 64 /* published users of which one is measured */

/* Counts the interests of a published user, and measures those of one user in MS_SPREAD_EVERY. The worker's thread. */
void ms_spread_note(struct ms_stats *stats, const struct ms_interests *interests, uint64_t published);

#endif

/* A synthetic click stream. It depends on its settings alone and is the same on every machine.
 *
 * Items lie in clusters. Over all users, the clicks on items follow Zipf's law. A user has one to |interests|
 * clusters at a time. Most of its clicks are on items of these clusters, some are on any item. Each cluster of a
 * user is replaced now and then (drift). All of this comes from hashes, so memory does not grow with users or
 * events. */
#ifndef MS_SYNTH_GENERATOR_H
#define MS_SYNTH_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

#define MS_GENERATOR_MAX_IDS        2000000000 /* most users, most items */
#define MS_GENERATOR_JSON_MAX_BYTES 128        /* longest line of ms_generator_json */

struct ms_generator_settings {
    uint64_t seed;
    uint32_t users, items;
    double item_skew, user_skew;   /* exponents of Zipf's law, 0 to 10; 0 is uniform */
    uint32_t drift_events;         /* clicks of an average user until one of its clusters is replaced; > 0 */
    int64_t start_ms, interval_ms; /* event n lies in [start + n * interval, start + (n + 1) * interval) */
    int dim, interests,
        max_behaviors; /* of the model (synth/model.h); interests also bounds a user's clusters */
};

/* The defaults of all but users and items, which are 0. */
struct ms_generator_settings ms_generator_defaults(void);

/* User "u<user>" clicked item "i<item>". Each event is later than the one before. */
struct ms_generated {
    uint32_t user; /* < users */
    uint32_t item; /* < items; the item's number in the model */
    int64_t time_ms;
};

struct ms_generator;

/* MS_USAGE when a setting is out of range. One thread a generator; ms_generator_destroy(NULL) is legal. */
enum ms_status ms_generator_new(struct ms_generator **generator, const struct ms_generator_settings *settings,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_generator_destroy(struct ms_generator *generator);

/* The next event; never ends and never fails. */
void ms_generator_next(struct ms_generator *generator, struct ms_generated *event);

/* The cluster of an item, and how many there are. */
uint32_t ms_generator_cluster(const struct ms_generator *generator, uint32_t item);
uint32_t ms_generator_clusters(const struct ms_generator *generator);
const struct ms_generator_settings *ms_generator_settings(const struct ms_generator *generator);

/* Writes the event as one JSON object without newline, at most MS_GENERATOR_JSON_MAX_BYTES; returns its size.
 */
size_t ms_generator_json(char *at, const struct ms_generated *event);

#endif

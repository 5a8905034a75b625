/* The demo's two ends of the stream: generated clicks go in, the service's records are read back. */
#ifndef MS_APP_DEMO_CLICKS_H
#define MS_APP_DEMO_CLICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "synth/generator.h"
#include "base/buffer.h"
#include "stream/kafka/demo_broker.h"

#define MS_DEMO_INPUT        "clicks"
#define MS_DEMO_OUTPUT       "interests"
#define MS_DEMO_DEAD_LETTERS "clicks-dead"
#define MS_DEMO_PARTITIONS   4
#define MS_DEMO_KEY_BYTES    16

/* A record of the output topic. */
struct ms_demo_found {
    int32_t partition;
    int64_t offset;
    double at_s;
    struct ms_buffer value;
};

struct ms_demo_clicks {
    struct ms_generator *generator;
    struct ms_demo_client *client;
    uint32_t *clicks;                /* whole ones of each user so far */
    uint64_t fed;                    /* whole and cut ones */
    uint64_t records, dead_letters;  /* read back */
    char watched[MS_DEMO_KEY_BYTES]; /* a key whose records are kept, "" for none */
    bool found;
    struct ms_demo_found last; /* the newest of them, while |found| */
    bool out_of_memory;
};

/* Makes both ends on a broker. |generator| stays the caller's and outlives it. */
enum ms_status ms_demo_clicks_init(struct ms_demo_clicks *clicks, struct ms_generator *generator,
                                   const char *bootstrap, struct ms_error *error) MS_MUST_CHECK;
void ms_demo_clicks_free(struct ms_demo_clicks *clicks);

/* Produces |count| clicks that happen now; fewer where the queue is full. */
enum ms_status ms_demo_clicks_feed(struct ms_demo_clicks *clicks, uint64_t count,
                                   struct ms_error *error) MS_MUST_CHECK;

/* Produces |count| clicks whose JSON text ends half-way. */
enum ms_status ms_demo_clicks_break(struct ms_demo_clicks *clicks, int count,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Produces one more click of a user that has twenty to sixty clicks, or of the one with most where there is no such
 * user, and watches for the records of that user. *clicked is the click. */
enum ms_status ms_demo_clicks_one_more(struct ms_demo_clicks *clicks, struct ms_generated *clicked,
                                       struct ms_error *error) MS_MUST_CHECK;

/* Reads back what has arrived, waiting |timeout_ms| for the first record. */
void ms_demo_clicks_read(struct ms_demo_clicks *clicks, int timeout_ms);

#endif

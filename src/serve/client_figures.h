/* What librdkafka tells of a client, of its statistics the part that an operator needs. Pure. */
#ifndef MS_SERVE_CLIENT_FIGURES_H
#define MS_SERVE_CLIENT_FIGURES_H

#include <stdbool.h>

#define MS_CLIENT_STATE_BYTES 32

struct ms_client_figures {
    double queue_records, queue_bytes; /* of a producer not sent yet, of a consumer fetched and not taken */
    double brokers_up;
    double round_trip_s, round_trip_p99_s;   /* of the slowest broker */
    double throttle_s;                       /* the longest that a broker asked for */
    double requests_waiting;                 /* not sent yet, or not answered */
    double sent_bytes, received_bytes;       /* since the client was made */
    double rebalances;                       /* of a consumer's group, since the client was made */
    char transaction[MS_CLIENT_STATE_BYTES]; /* of a transactional producer: its state, "" else */
};

/* Reads the statistics, JSON. False where they are none, or memory ended. */
bool ms_client_figures_read(struct ms_client_figures *figures, const char *text);

#endif

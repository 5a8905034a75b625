/* A file on its way into the database, in a thread of its own.
 *
 *     ms_flight_launch -> ms_flight_arrived ... -> ms_flight_end
 *
 * A flight is open from its launch until its outcome has been collected by ms_flight_end. One thread owns it;
 * the thread inside waits where compactions are behind, syncs the file and has it ingested. This wait is the
 * back-pressure: the owner goes on until its memory is full of users that it may not evict. Zeroed, a flight is
 * not open. */
#ifndef MS_STATE_FLIGHT_H
#define MS_STATE_FLIGHT_H

#include <pthread.h>
#include <stdatomic.h>

#include "state/ingest.h"

struct ms_flight {
    pthread_t thread;
    bool open;         /* launched, and its outcome not collected */
    bool running;      /* its thread is not joined */
    atomic_bool done;  /* the thread has written the outcome */
    atomic_bool hurry; /* it is not to wait for compactions */
    struct ms_store_file *file;
    const uint16_t *partitions;
    size_t count;
    uint32_t owner;
    /* The outcome. */
    bool lost;
    enum ms_status status;
    struct ms_error error;
};

/* Takes |file| and has it ingested if |owner| owns all |partitions|, which stay the caller's and hold until
 * ms_flight_end. The flight is not open before. Where no thread can be had it is done here and now. */
void ms_flight_launch(struct ms_flight *flight, struct ms_store_file *file, const uint16_t *partitions,
                      size_t count, uint32_t owner);

/* Whether nothing is on its way: not open, or done. */
bool ms_flight_arrived(const struct ms_flight *flight);

/* Whether the file is in the database: open, done, and neither failed nor lost. */
bool ms_flight_succeeded(const struct ms_flight *flight);

/* While |hurry| is set, neither the file on its way nor one launched then waits for compactions. */
void ms_flight_hurry(struct ms_flight *flight, bool hurry);

/* Waits until nothing is on its way. */
void ms_flight_join(struct ms_flight *flight);

/* Waits and gives the outcome; the flight stays open. *lost tells that another owner has one of the
 * partitions: nothing was written then. MS_OK and not lost when it is not open. */
enum ms_status ms_flight_wait(struct ms_flight *flight, bool *lost, struct ms_error *error) MS_MUST_CHECK;

/* The same, and the flight is not open any more. */
enum ms_status ms_flight_end(struct ms_flight *flight, bool *lost, struct ms_error *error) MS_MUST_CHECK;

#endif

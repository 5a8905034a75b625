/* A thread that ingests one file. */
#include "state/flight.h"

#include <assert.h>

static void *ingest(void *context)
{
    struct ms_flight *flight = context;
    ms_store_file_wait(flight->file, &flight->hurry);
    flight->status = ms_store_file_ingest(flight->file, flight->partitions, flight->count, flight->owner,
                                          &flight->lost, &flight->error);
    atomic_store(&flight->done, true);
    return NULL;
}

void ms_flight_launch(struct ms_flight *flight, struct ms_store_file *file, const uint16_t *partitions,
                      size_t count, uint32_t owner)
{
    assert(!flight->open);
    flight->file = file;
    flight->partitions = partitions;
    flight->count = count;
    flight->owner = owner;
    flight->lost = false;
    flight->status = MS_OK;
    flight->open = true;
    atomic_store(&flight->done, false);
    flight->running = pthread_create(&flight->thread, NULL, ingest, flight) == 0;
    if (!flight->running)
        ingest(flight);
}

bool ms_flight_arrived(const struct ms_flight *flight)
{
    return !flight->open || atomic_load(&flight->done);
}

bool ms_flight_succeeded(const struct ms_flight *flight)
{
    return flight->open && atomic_load(&flight->done) && !flight->lost && flight->status == MS_OK;
}

void ms_flight_hurry(struct ms_flight *flight, bool hurry)
{
    atomic_store(&flight->hurry, hurry);
}

void ms_flight_join(struct ms_flight *flight)
{
    if (flight->running)
        pthread_join(flight->thread, NULL);
    flight->running = false;
}

enum ms_status ms_flight_wait(struct ms_flight *flight, bool *lost, struct ms_error *error)
{
    ms_flight_join(flight);
    *lost = flight->open && flight->lost;
    if (flight->open && flight->status != MS_OK)
        return ms_fail(error, flight->status, "%s", flight->error.text);
    return MS_OK;
}

enum ms_status ms_flight_end(struct ms_flight *flight, bool *lost, struct ms_error *error)
{
    enum ms_status status = ms_flight_wait(flight, lost, error);
    flight->open = false;
    return status;
}

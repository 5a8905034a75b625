/* The gate through which other threads look at a worker's engine.
 *
 * The worker holds the gate shut while it works on the engine, and opens it while it waits for its brokers: in a poll and in a
 * commit. A reader leaves a call and looks itself where the gate is open; where it is shut, the worker makes the calls that
 * wait after each batch. So a reader waits for a batch at most, and the worker for what a look copies. */
#ifndef MS_STREAM_GATE_H
#define MS_STREAM_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ms_engine;
struct ms_gate_call;

/* Looks at the engine, NULL between two sessions. Must be quick, and must neither change the engine nor wait. */
typedef void ms_gate_look(void *context, struct ms_engine *engine);

struct ms_gate {
    pthread_mutex_t lock;     /* held by the worker while the gate is shut, and by a reader while it looks */
    struct ms_engine *engine; /* under lock */
    bool shut;                /* the worker's */
    atomic_int waiting;       /* calls that wait */
    pthread_mutex_t calls_lock; /* of the next two */
    struct ms_gate_call *calls;
    pthread_cond_t made;
    _Atomic int64_t images_until_ms; /* until when images are kept (images.h), by the monotonic clock */
};

void ms_gate_init(struct ms_gate *gate);
/* Nobody may ask any more. */
void ms_gate_destroy(struct ms_gate *gate);

/* ---- the worker ---- */

/* It begins shut or open as it was left; both do nothing where it is so already. ms_gate_shut returns whether it was shut. */
bool ms_gate_shut(struct ms_gate *gate);
void ms_gate_open(struct ms_gate *gate);
/* The engine that is looked at from now on; the gate is shut. */
void ms_gate_engine(struct ms_gate *gate, struct ms_engine *engine);
/* Makes the calls that wait; the gate is shut. Costs a load where there are none. */
void ms_gate_serve(struct ms_gate *gate);

/* ---- others ---- */

/* Has |look| called once, in this thread or in the worker's, before this returns. False: |timeout_ms| passed first, and it is not called. */
bool ms_gate_ask(struct ms_gate *gate, ms_gate_look *look, void *context, int64_t timeout_ms);

#endif

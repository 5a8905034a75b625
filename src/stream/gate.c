/* A mutex and a list of calls. */
#include "stream/gate.h"

#include <time.h>

#define TRY_NS 1000000 /* between two tries whether the gate is open */

struct ms_gate_call {
    ms_gate_look *look;
    void *context;
    bool made;
    struct ms_gate_call *next;
};

void ms_gate_init(struct ms_gate *gate)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    *gate = (struct ms_gate){.engine = NULL};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_mutex_init(&gate->calls_lock, NULL);
    pthread_cond_init(&gate->made, &attributes);
    pthread_condattr_destroy(&attributes);
}

void ms_gate_destroy(struct ms_gate *gate)
{
    pthread_cond_destroy(&gate->made);
    pthread_mutex_destroy(&gate->calls_lock);
    pthread_mutex_destroy(&gate->lock);
}

/* Makes all calls that wait. |lock| is held. */
static void make_calls(struct ms_gate *gate)
{
    pthread_mutex_lock(&gate->calls_lock);
    struct ms_gate_call *call = gate->calls;
    gate->calls = NULL;
    pthread_mutex_unlock(&gate->calls_lock);
    while (call) {
        struct ms_gate_call *next = call->next; /* its thread may go on as soon as it is made */
        call->look(call->context, gate->engine);
        pthread_mutex_lock(&gate->calls_lock);
        call->made = true;
        pthread_cond_broadcast(&gate->made);
        pthread_mutex_unlock(&gate->calls_lock);
        atomic_fetch_sub(&gate->waiting, 1);
        call = next;
    }
}

/* ---- the worker ---- */

bool ms_gate_shut(struct ms_gate *gate)
{
    bool was = gate->shut;
    if (!was)
        pthread_mutex_lock(&gate->lock);
    gate->shut = true;
    return was;
}

void ms_gate_open(struct ms_gate *gate)
{
    if (!gate->shut)
        return;
    ms_gate_serve(gate);
    gate->shut = false;
    pthread_mutex_unlock(&gate->lock);
}

void ms_gate_engine(struct ms_gate *gate, struct ms_engine *engine)
{
    gate->engine = engine;
}

void ms_gate_serve(struct ms_gate *gate)
{
    if (atomic_load_explicit(&gate->waiting, memory_order_relaxed) > 0)
        make_calls(gate);
}

/* ---- others ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add_call(struct ms_gate *gate, struct ms_gate_call *call)
{
    pthread_mutex_lock(&gate->calls_lock);
    struct ms_gate_call **end = &gate->calls;
    while (*end)
        end = &(*end)->next;
    *end = call;
    pthread_mutex_unlock(&gate->calls_lock);
    atomic_fetch_add(&gate->waiting, 1);
}

/* Waits a moment for the call. calls_lock is held. */
static void wait_a_moment(struct ms_gate *gate)
{
    int64_t until_ns = now_ns() + TRY_NS;
    const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    pthread_cond_timedwait(&gate->made, &gate->calls_lock, &until);
}

/* Takes the call back where nobody has begun with it. calls_lock is held. */
static bool take_back(struct ms_gate *gate, struct ms_gate_call *call)
{
    for (struct ms_gate_call **at = &gate->calls; *at; at = &(*at)->next) {
        if (*at != call)
            continue;
        *at = call->next;
        atomic_fetch_sub(&gate->waiting, 1);
        return true;
    }
    return false;
}

bool ms_gate_ask(struct ms_gate *gate, ms_gate_look *look, void *context, int64_t timeout_ms)
{
    struct ms_gate_call call = {.look = look, .context = context};
    int64_t until_ns = now_ns() + timeout_ms * 1000000;
    bool taken_back = false;
    add_call(gate, &call);
    for (;;) {
        if (pthread_mutex_trylock(&gate->lock) == 0) {
            make_calls(gate);
            pthread_mutex_unlock(&gate->lock);
        }
        pthread_mutex_lock(&gate->calls_lock);
        if (!call.made)
            wait_a_moment(gate);
        if (!call.made && now_ns() > until_ns)
            taken_back = take_back(gate, &call);
        bool over = call.made || taken_back;
        pthread_mutex_unlock(&gate->calls_lock);
        if (over)
            return !taken_back;
    }
}

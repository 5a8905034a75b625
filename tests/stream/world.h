/* A world for the engine to live in, without Kafka: logs of input records, a broker that keeps what committed
 * transactions brought, and an oracle that knows what an uninterrupted run would have published and kept.
 *
 * The oracle folds with the naive users of tests/user, one event at a time, and never looks at the engine.
 * Whatever differs ends the test program with the world's seed. */
#ifndef TESTS_STREAM_WORLD_H
#define TESTS_STREAM_WORLD_H

#include <pthread.h>

#include "base/config.h"
#include "mindstream/record.h"
#include "state/fixture.h"
#include "stream/engine.h"
#include "stream/offsets.h"

#define PARTS       3  /* most partitions */
#define USERS       12 /* most users of one */
#define VARIANTS    3  /* ways to fold: model and mode */
#define WORKERS     2
#define MAX_BEGINS  64
#define DEAD_LETTER USERS /* stands for the user of a dead letter */

enum logged_kind { LOGGED_EVENT, LOGGED_FORGET, LOGGED_FILTERED, LOGGED_BAD };

/* A record of the input, and what it means. */
struct logged {
    enum logged_kind kind;
    uint32_t user;
    struct ms_event event;
    struct ms_input input;
};

/* From |from| on, the state was folded by |variant|. */
struct begin {
    int64_t from;
    int variant;
};

/* What a reader of the output topic sees of a user in layout interest. */
struct shown {
    int live; /* slots whose last value is not null: 0 .. live-1 */
    int ever; /* the most there were since it was last forgotten */
};

struct part {
    struct logged *records;
    size_t count, seen; /* written so far, of all */
    int64_t low;
    /* the broker */
    int64_t committed; /* -1: none */
    char note[MS_NOTE_BYTES];
    size_t note_bytes;
    uint32_t owner; /* worker + 1, 0: nobody */
    struct shown shown[USERS];
    uint64_t debt;    /* number of the debt that was paid last, at least in part */
    bool paid[USERS]; /* users to whom it is paid */
    /* how the state on disk came to be */
    int64_t origin;
    struct begin begins[MAX_BEGINS];
    int begins_count;
};

struct world {
    uint64_t seed, random;
    struct ms_config config;
    bool mixed; /* several variants take turns */
    int variants, parts, users;
    uint32_t behaviors_max;
    const struct life_model *models[VARIANTS];
    bool incremental[VARIANTS];
    int variant; /* of this process */
    char *dir;
    struct ms_store *store;
    pthread_mutex_t lock; /* guards part[] */
    struct part part[PARTS];
    char ids[PARTS][USERS][24];
};

/* The ways to fold of one thread: a fold context belongs to its extractor, an extractor to a thread. */
struct fold_contexts {
    struct life_model models[VARIANTS];
    struct ms_fold_context fold_contexts[VARIANTS];
    struct ms_encoder *encoder;
};

/* One output record, with copies of its bytes. */
struct published {
    int partition;
    uint32_t user; /* DEAD_LETTER: |offset| says of which record */
    int slot;      /* layout interest */
    bool null;
    uint64_t version;
    int64_t offset;
    char *value;
    size_t value_bytes;
};
struct published_list {
    struct published *items;
    size_t count, capacity;
};
void published_clear(struct published_list *list);
/* Copies what the engine emitted. */
void published_add(struct world *world, struct published_list *list, const struct ms_output *output);

/* Whether no record is between where the folding of a partition began and |origin|: then that may be its origin. */
bool part_origin_fits(const struct part *part, int64_t origin);

/* What a partition's users are once the events below |at| are folded. */
struct oracle {
    struct world *world;
    struct fold_contexts *fold_contexts;
    int partition;
    int64_t at;
    size_t next;
    struct naive_user users[USERS];
    int variant[USERS]; /* that the user was last folded by */
    bool owed[USERS];   /* users to publish at C, before any other event */
};
/* The state of a partition at |upto|, as the begins noted for it say. */
void oracle_start(struct oracle *oracle, struct world *world, struct fold_contexts *fold_contexts,
                  int partition, int64_t upto);
void oracle_free(struct oracle *oracle);
/* Notes that the state from |from| on is folded by the world's variant now. The lock is held. */
void world_begin(struct world *world, int partition, int64_t from);
/* Folds on in silence; users folded are owed when |owe|. */
void oracle_replay(struct oracle *oracle, int64_t upto, bool owe);
/* Takes those off to whom the broker's transactions have paid the debt |number| already. The lock is held. */
void oracle_take_off_paid(struct oracle *oracle, uint64_t number);
/* Checks a transaction. While users are owed, its records are theirs, each user's once and in the order of ids;
 * |debt| tells what is said of it beside the offset. Else: folds on to |upto| and checks that the records are
 * what an uninterrupted run publishes for these events. The lock is held. */
void oracle_check(struct oracle *oracle, int64_t upto, const struct ms_debt *debt,
                  const struct published_list *list);
/* Checks the rows of a partition on disk against the events below their L. Returns L, -1: no row. */
int64_t world_check_state(struct world *world, struct fold_contexts *fold_contexts, int partition);

void world_new(struct world *world, uint64_t seed, const struct life_model *models, size_t models_count);
void world_free(struct world *world);
void folders_open(struct fold_contexts *fold_contexts, const struct world *world);
void folders_close(struct fold_contexts *fold_contexts);
/* The offset behind the last record written so far. */
int64_t world_end(const struct part *part);
uint64_t draw(uint64_t *random, uint64_t below);

void world_fail(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
#define CHECK(world, condition, ...)                                                                         \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            world_fail(world, __VA_ARGS__);                                                                  \
    } while (0)

#endif

/* The insides of `mindstream inspect verify`, for its files alone:
 *
 *   verify.c         the command: which users, the passes over them, and what is printed
 *   verify_survey.c  the partitions, and the sample
 *   verify_state.c   a user against itself folded again, and against one from the input topic
 *   verify_input.c   the scratch state that is built from the input topic
 *   verify_output.c  the last record of each user, and a user against it
 *   verify_verdict.c what the others share
 *
 * Never guessed: what does not prove a difference, because a user may be like this for a good reason, is counted with the
 * reason. */
#ifndef MS_APP_INSPECT_VERIFY_H
#define MS_APP_INSPECT_VERIFY_H

#include "app/inspect/shared.h"
#include "app/service_setup.h"
#include "base/progress.h"
#include "base/scratch.h"
#include "state/user_walk.h"
#include "view/viewer.h"

/* X(REASON, key in JSON, text): why a user cannot be checked. */
#define MS_VERIFY_REASONS(X)                                                                                 \
    X(HISTORY, "history", "events in the sums are no longer kept; --from-input reads them again")            \
    X(MODEL, "model", "not folded since the model or its settings changed")                                  \
    X(REFOLDED, "refolded", "folded again from kept events when the model or its settings changed")          \
    X(INPUT_GONE, "input_gone", "the input topic no longer has all events from the origin on")               \
    X(INPUT_ANEW, "input_anew", "the input topic ends before the state does")                                \
    X(FILES, "files", "events came from files (replay --from-file), which the input topic does not have")    \
    X(INPUT_HOLES, "input_holes", "the input topic is compacted (--accept-holes folds what is left)")        \
    X(DECODER, "decoder", "folded under other settings of the decoder")                                      \
    X(OFFSETS, "offsets", "the state has no offsets, or a user is further than they are")                    \
    X(PROFILE, "profile",                                                                                    \
      "a profile came after the user was forgotten; the order of two topics is not recorded")                \
    X(BEHIND, "behind", "published, and not in the state on disk yet")                                       \
    X(OWED, "owed", "owed a record under the present model")                                                 \
    X(OTHER_MODEL, "other_model", "published under another model, and not changed since")                    \
    X(RETENTION, "retention", "no record, and the output topic's retention removes records")                 \
    X(SHARED, "shared", "users of several partitions share the key")                                         \
    X(ELSEWHERE, "elsewhere", "a record of a user who may be in the state of another instance")

enum ms_verify_reason {
#define MS_VERIFY_REASON(name, key, text) MS_VERIFY_##name,
    MS_VERIFY_REASONS(MS_VERIFY_REASON)
#undef MS_VERIFY_REASON
        MS_VERIFY_REASON_COUNT
};

enum ms_verify_outcome { MS_VERIFY_AGREES, MS_VERIFY_UNKNOWN, MS_VERIFY_DIFFERS };

/* What came of one comparison. */
struct ms_verdict {
    enum ms_verify_outcome outcome;
    enum ms_verify_reason reason; /* where it is not known */
    /* Where it differs: */
    const char *against; /* "kept behaviors", "input topic", "output topic" */
    char what[256];
    bool has_version;
    uint64_t version; /* on the other side */
    double
        largest; /* difference of two components of a vector; INFINITY: another number of interests; 0: none */
    int slot;    /* of that, -1: none */
};

struct ms_verify_tally {
    uint64_t count[MS_VERIFY_DIFFERS + 1]; /* by outcome */
    uint64_t reasons[MS_VERIFY_REASON_COUNT];
};

/* One partition of the state. */
struct ms_verify_partition {
    bool has_row;
    struct ms_partition_row row;
    bool again;                /* the scratch state has it, too */
    enum ms_verify_reason why; /* where it does not, with --from-input */
    bool behind;               /* something was committed that the state on disk does not have yet */
};

struct ms_published; /* verify_output.c */

struct ms_verify {
    const struct ms_inspect_arguments *arguments;
    const struct ms_config *config;
    struct ms_setup setup; /* with --from-input or --output-topic: mode and decay, for the replay */
    struct ms_model *model;
    struct ms_viewer *viewer;
    struct ms_store *store;
    struct ms_verify_partition *partitions; /* [MS_MAX_PARTITIONS] */
    uint64_t users;                         /* in the state, before a sample is taken */
    uint64_t most_hash;                     /* users with ids of a greater hash are not in the sample */
    uint64_t buckets, bucket;               /* of the present pass: users whose hash mod buckets is bucket */
    float *vectors;                         /* of one user, while another is asked */
    struct ms_scratch scratch_dir;
    struct ms_store *scratch;       /* NULL without --from-input */
    struct ms_published *published; /* NULL without --output-topic */
    struct ms_verify_tally state, output, all;
    uint64_t forgotten; /* null values of users that are not in the state */
    struct ms_table table;
    size_t shown;
    uint64_t differences;
};

/* The hash by which a sample is taken and passes are divided. */
uint64_t ms_verify_hash(struct ms_bytes id);
/* Whether the id is in the sample, and in the bucket of this pass. */
bool ms_verify_samples(const struct ms_verify *verify, struct ms_bytes id);
bool ms_verify_turn(const struct ms_verify *verify, struct ms_bytes id);

void ms_verdict_unknown(struct ms_verdict *verdict, enum ms_verify_reason reason);
/* |what| with its values. Sets no version, no difference. */
void ms_verdict_differs(struct ms_verdict *verdict, const char *against, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes that the interests differ where they do by more than the tolerance. |a| and |b| are of the same model. */
void ms_verify_interests(const struct ms_verify *verify, const char *against, const struct ms_interests *a,
                         const struct ms_interests *b, struct ms_verdict *verdict);

/* ---- verify_survey.c ---- */

/* Fills verify->partitions, users and most_hash. */
enum ms_status ms_verify_survey(struct ms_verify *verify, struct ms_error *error) MS_MUST_CHECK;

/* ---- verify_state.c ---- */

/* A user brought to its fold context. */
struct ms_verify_user {
    struct ms_user *user; /* complete; the walk's, changed by ms_viewer_fold alone */
    struct ms_fold_context *context;
    bool refolded; /* what was stored came from another fold */
};

/* Compares |user| with |other|, who was folded from the input topic, where its partition was read again; else with itself.
 * |other| NULL: the input topic has no such user. */
enum ms_status ms_verify_state(struct ms_verify *verify, struct ms_verify_user *user, struct ms_user **other,
                               struct ms_verdict *verdict, struct ms_error *error) MS_MUST_CHECK;

/* ---- verify_input.c ---- */

/* Builds the scratch state, and says of each partition whether it is in there. */
enum ms_status ms_verify_read_input(struct ms_verify *verify, struct ms_error *error) MS_MUST_CHECK;

/* ---- verify_output.c ---- */

enum ms_status ms_published_new(struct ms_published **published, struct ms_verify *verify,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_published_destroy(struct ms_published *published);
/* How many passes the users of the sample take, so that their records have room. */
uint64_t ms_published_passes(const struct ms_published *published, uint64_t users);
/* Reads the last records of the users of this pass, up to the end as of now, and asks where the group stands. *full tells that
 * they did not find room: more passes are needed, and nothing was read. */
enum ms_status ms_published_read(struct ms_published *published, bool *full,
                                 struct ms_error *error) MS_MUST_CHECK;
/* Compares a user with its record. False where it has none and needs none. */
bool ms_published_compare(struct ms_published *published, struct ms_verify_user *user,
                          struct ms_verdict *verdict);
/* What is left of the pass: records of users that are not in the state. Calls |take| for each. */
void ms_published_rest(struct ms_published *published,
                       void (*take)(struct ms_verify *verify, struct ms_bytes id, uint64_t version,
                                    const struct ms_verdict *verdict));

#endif

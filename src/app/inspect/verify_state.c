/* A user of the state against the same user folded again. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/compare.h"
#include "app/inspect/verify.h"
#include "user/restore.h"
#include "view/as_of.h"

static const char kept[] = "kept behaviors", input[] = "input topic";

/* The interests of |user| copied to verify->vectors: vectors, then weights. */
static struct ms_interests copy_interests(const struct ms_verify *verify, struct ms_fold_context *context,
                                          const struct ms_user *user)
{
    struct ms_interests interests = ms_user_interests(context, user);
    size_t count = (size_t)interests.count, floats = count * (size_t)interests.dim;
    if (floats) {
        memcpy(verify->vectors, interests.vectors, floats * sizeof(float));
        memcpy(verify->vectors + floats, interests.weights, count * sizeof(float));
    }
    interests.vectors = verify->vectors;
    interests.weights = verify->vectors + floats;
    return interests;
}

/* The sums themselves, where the interests agree: what they hold shows later. */
static void compare_sums(const struct ms_verify *verify, const char *against, const struct ms_user *user,
                         const struct ms_user *other, struct ms_verdict *verdict)
{
    if (user->floats != other->floats)
        return; /* there is room for interests that it does not have yet */
    double largest = ms_largest_difference(ms_user_sums(user), ms_user_sums(other), user->floats, NULL);
    if (largest <= verify->arguments->tolerance)
        return;
    ms_verdict_differs(verdict, against, "the sums behind the interests, by %.3g", largest);
    verdict->largest = largest;
}

/* What was folded, once it is known that both must have folded the same. */
static void compare_folds(const struct ms_verify *verify, const char *against,
                          const struct ms_verify_user *user, const struct ms_user *other,
                          struct ms_verdict *verdict)
{
    const struct ms_user *own = user->user;
    if (own->events_folded != other->events_folded)
        ms_verdict_differs(verdict, against, "events folded: %" PRIu64 ", there %" PRIu64, own->events_folded,
                           other->events_folded);
    else if (own->slots != other->slots)
        ms_verdict_differs(verdict, against, "interests: %u, there %u", own->slots, other->slots);
    else if (user->context->incremental && own->sums_time_ms != other->sums_time_ms)
        ms_verdict_differs(verdict, against, "the event time of the sums: %" PRId64 ", there %" PRId64,
                           own->sums_time_ms, other->sums_time_ms);
    if (verdict->outcome != MS_VERIFY_AGREES)
        return;
    struct ms_interests a = copy_interests(verify, user->context, own);
    struct ms_interests b = ms_user_interests(user->context, other);
    ms_verify_interests(verify, against, &a, &b, verdict);
    if (verdict->outcome == MS_VERIFY_AGREES)
        compare_sums(verify, against, own, other, verdict);
}

/* ---- against itself ---- */

/* What must hold of every user. */
static void check_counters(const struct ms_user *user, struct ms_verdict *verdict)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    if (user->kept > user->version)
        ms_verdict_differs(verdict, kept, "version %" PRIu64 " with %u behaviors", user->version, user->kept);
    else if (user->count && behaviors[user->count - 1].time_ms != user->last_time_ms)
        ms_verdict_differs(verdict, kept, "newest event time %" PRId64 ", the newest behavior's is %" PRId64,
                           user->last_time_ms, behaviors[user->count - 1].time_ms);
    else if (user->slots > user->slots_max)
        ms_verdict_differs(verdict, kept, "%u interests, of %u at most", user->slots, user->slots_max);
}

static enum ms_status against_kept(struct ms_verify *verify, const struct ms_verify_user *user,
                                   struct ms_verdict *verdict, struct ms_error *error)
{
    const struct ms_verify_partition *partition = &verify->partitions[user->user->partition];
    struct ms_user *again = NULL;
    bool told = false;
    check_counters(user->user, verdict);
    if (verdict->outcome != MS_VERIFY_AGREES)
        return MS_OK;
    if (user->refolded) {
        ms_verdict_unknown(verdict, MS_VERIFY_MODEL);
        return MS_OK;
    }
    enum ms_status status = ms_user_again(&again, verify->viewer, user->user, &told, error);
    if (status != MS_OK)
        return status;
    if (told)
        compare_folds(verify, kept, user, again, verdict);
    else
        ms_verdict_unknown(verdict, verify->scratch ? partition->why : MS_VERIFY_HISTORY);
    free(again);
    return MS_OK;
}

/* ---- against the input topic ---- */

/* The order of arrival decides in which order events were folded. */
static enum ms_status same_arrival(const struct ms_user *a, const struct ms_user *b, bool *same,
                                   struct ms_error *error)
{
    uint32_t *places = calloc(2 * (size_t)a->count + 1, sizeof *places);
    if (!places)
        return ms_fail(error, MS_MEMORY, "no memory for a history of %u behaviors", a->count);
    ms_user_arrival_places(a, places);
    ms_user_arrival_places(b, places + a->count);
    *same = memcmp(places, places + a->count, a->count * sizeof *places) == 0;
    free(places);
    return MS_OK;
}

/* Version, behaviors and profile. Versions count profiles, too: how many came while the user had events is not recorded. */
static void compare_history(const struct ms_verify *verify, const struct ms_user *user,
                            const struct ms_user *other, struct ms_verdict *verdict)
{
    bool profiles = verify->config->profile_topic[0];
    if (profiles ? user->version < other->version : user->version != other->version)
        ms_verdict_differs(verdict, input, "version");
    else if (!ms_same_behaviors(user, other))
        ms_verdict_differs(verdict, input, "behaviors (%u, there %u)", user->count, other->count);
    else if (user->last_time_ms != other->last_time_ms)
        ms_verdict_differs(verdict, input, "newest event time %" PRId64 ", there %" PRId64,
                           user->last_time_ms, other->last_time_ms);
    else if (!ms_same_profile(user, other) && other->profile_bytes)
        ms_verdict_differs(verdict, input, "profile");
    else if (!ms_same_profile(user, other))
        ms_verdict_unknown(verdict, MS_VERIFY_PROFILE);
    if (verdict->outcome == MS_VERIFY_DIFFERS) {
        verdict->has_version = true;
        verdict->version = other->version;
    }
}

/* A user that was folded again when the model changed has folded only what was kept then, in order of time. Its history tells
 * whether that may be. */
static enum ms_status excuse(struct ms_verify *verify, const struct ms_verify_user *user,
                             const struct ms_user *other, struct ms_verdict *verdict, struct ms_error *error)
{
    const struct ms_user *own = user->user;
    struct ms_verdict itself = {.outcome = MS_VERIFY_AGREES};
    bool same = true;
    enum ms_status status = same_arrival(own, other, &same, error);
    bool fewer = own->events_folded < other->events_folded && own->kept < own->version;
    if (status != MS_OK || !user->context->incremental || (same && !fewer))
        return status;
    status = against_kept(verify, user, &itself, error);
    if (status == MS_OK && itself.outcome == MS_VERIFY_UNKNOWN)
        itself.reason = MS_VERIFY_REFOLDED;
    if (status == MS_OK)
        *verdict = itself;
    return status;
}

static enum ms_status against_input(struct ms_verify *verify, const struct ms_verify_user *user,
                                    struct ms_user **at, struct ms_verdict *verdict, struct ms_error *error)
{
    const struct ms_user *own = user->user;
    struct ms_fold_context *context;
    bool refolded;
    if (!*at || (*at)->version == 0) {
        ms_verdict_differs(verdict, input, "it has no such user");
        return MS_OK;
    }
    enum ms_status status = ms_viewer_fold(verify->viewer, at, &context, &refolded, error);
    const struct ms_user *other = *at;
    if (status != MS_OK)
        return status;
    compare_history(verify, own, other, verdict);
    if (verdict->outcome != MS_VERIFY_AGREES)
        return MS_OK;
    if (user->refolded || refolded || context != user->context) {
        ms_verdict_unknown(verdict, MS_VERIFY_MODEL);
        return MS_OK;
    }
    compare_folds(verify, input, user, other, verdict);
    return verdict->outcome == MS_VERIFY_DIFFERS ? excuse(verify, user, other, verdict, error) : MS_OK;
}

enum ms_status ms_verify_state(struct ms_verify *verify, struct ms_verify_user *user, struct ms_user **other,
                               struct ms_verdict *verdict, struct ms_error *error)
{
    const struct ms_verify_partition *partition = &verify->partitions[user->user->partition];
    *verdict = (struct ms_verdict){.outcome = MS_VERIFY_AGREES, .slot = -1};
    if (!partition->again)
        return against_kept(verify, user, verdict, error);
    if (user->user->own_offset > partition->row.sources[0].applied) {
        ms_verdict_unknown(verdict, MS_VERIFY_OFFSETS);
        return MS_OK;
    }
    return against_input(verify, user, other, verdict, error);
}

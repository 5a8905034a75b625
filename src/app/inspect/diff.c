/* mindstream inspect diff: two state directories, user by user. Two walks in step. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/compare.h"
#include "app/inspect/shared.h"
#include "app/inspector.h"
#include "app/service_setup.h"
#include "state/user_walk.h"
#include "view/escape.h"
#include "view/json.h"
#include "view/viewer.h"

struct side {
    const char *dir;
    struct ms_store *store;
    struct ms_user_walk *walk;
    struct ms_user *user; /* NULL behind the last */
    struct ms_viewer *viewer;
    uint64_t only;
};

struct comparison {
    struct side sides[2];
    struct ms_model *model; /* NULL: sums are compared instead of interests */
    float *vectors;         /* of the first side, while the second is asked */
    double tolerance;
    bool json;
    struct ms_table table;
    size_t shown, limit;
    uint64_t both, versions, behaviors, interests, differing;
    double largest;
};

/* How the users of one id differ. */
struct difference {
    bool version, behaviors, interests;
    double largest; /* of two components; INFINITY where the numbers of interests differ */
};

/* ---- one user on both sides ---- */

/* Sums that were left out on one side are not compared. */
static double compare_sums(const struct ms_user *a, const struct ms_user *b)
{
    if (a->sums_left_out || b->sums_left_out)
        return a->slots == b->slots ? 0.0 : (double)INFINITY;
    if (a->floats != b->floats || a->slots != b->slots)
        return INFINITY;
    return ms_largest_difference(ms_user_sums(a), ms_user_sums(b), a->floats, NULL);
}

static enum ms_status compare_interests(struct comparison *comparison, double *largest,
                                        struct ms_error *error)
{
    struct ms_fold_context *context;
    bool refolded;
    int count[2] = {0};
    size_t dim = (size_t)ms_model_config(comparison->model)->dim;
    for (int i = 0; i < 2; i++) {
        struct side *side = &comparison->sides[i];
        enum ms_status status = ms_viewer_fold(side->viewer, &side->user, &context, &refolded, error);
        if (status != MS_OK)
            return status;
        struct ms_interests interests = ms_user_interests(context, side->user);
        count[i] = interests.count;
        size_t floats = (size_t)interests.count * dim;
        if (i == 0 && floats)
            memcpy(comparison->vectors, interests.vectors, floats * sizeof(float));
        if (i == 1)
            *largest = count[0] == count[1]
                           ? ms_largest_difference(comparison->vectors, interests.vectors, floats, NULL)
                           : (double)INFINITY;
    }
    return MS_OK;
}

static enum ms_status compare_users(struct comparison *comparison, struct difference *difference,
                                    struct ms_error *error)
{
    const struct ms_user *a = comparison->sides[0].user, *b = comparison->sides[1].user;
    difference->version = a->version != b->version;
    difference->behaviors = !ms_same_history(a, b);
    enum ms_status status = MS_OK;
    if (comparison->model)
        status = compare_interests(comparison, &difference->largest, error);
    else
        difference->largest = compare_sums(a, b);
    difference->interests = !(difference->largest <= comparison->tolerance);
    return status;
}

/* ---- what is shown ---- */

static json_t *json_of_number(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static void show_json(struct comparison *comparison, const struct ms_user *user, const char *only,
                      uint64_t left, uint64_t right, const struct difference *difference)
{
    json_t *one = json_pack("{s:o, s:i, s:s?, s:I, s:I, s:b, s:b, s:o}", "user_id",
                            ms_view_json_bytes(ms_user_id(user)), "partition", (int)user->partition,
                            "only_in", only, "version_a", (json_int_t)left, "version_b", (json_int_t)right,
                            "behaviors_differ", difference->behaviors, "interests_differ",
                            difference->interests, "largest", json_of_number(difference->largest));
    fputs(comparison->shown ? ",\n" : "", stdout);
    if (one)
        json_dumpf(one, stdout, JSON_COMPACT);
    json_decref(one);
}

static void version_cell(struct ms_table *table, bool there, uint64_t version)
{
    if (there)
        ms_table_cell(table, "%" PRIu64, version);
    else
        ms_table_cell(table, "-");
}

static void show_row(struct comparison *comparison, const struct ms_user *user, const char *only,
                     uint64_t left, uint64_t right, const struct difference *difference)
{
    struct ms_table *table = &comparison->table;
    ms_table_bytes(table, ms_user_id(user));
    ms_table_cell(table, "%u", user->partition);
    version_cell(table, !only || *only == 'a', left);
    version_cell(table, !only || *only == 'b', right);
    if (only) {
        ms_table_cell(table, "only in %s", *only == 'a' ? "A" : "B");
        return;
    }
    const char *what = difference->version && difference->behaviors ? "version and behaviors"
                       : difference->version                        ? "version"
                       : difference->behaviors                      ? "behaviors"
                                                                    : "";
    if (!difference->interests)
        ms_table_cell(table, "%s", what);
    else if (isinf(difference->largest))
        ms_table_cell(table, "%s%snumber of interests", what, *what ? ", " : "");
    else
        ms_table_cell(table, "%s%sinterests by %.3g", what, *what ? ", " : "", difference->largest);
}

static void show_user(struct comparison *comparison, const struct ms_user *user, const char *only,
                      uint64_t left, uint64_t right, const struct difference *difference)
{
    comparison->differing++;
    if (comparison->limit && comparison->shown == comparison->limit)
        return;
    if (comparison->json)
        show_json(comparison, user, only, left, right, difference);
    else
        show_row(comparison, user, only, left, right, difference);
    comparison->shown++;
}

static enum ms_status take_both(struct comparison *comparison, struct ms_error *error)
{
    struct difference difference = {0};
    enum ms_status status = compare_users(comparison, &difference, error);
    if (status != MS_OK)
        return status;
    comparison->both++;
    comparison->versions += difference.version;
    comparison->behaviors += difference.behaviors;
    comparison->interests += difference.interests;
    if (isfinite(difference.largest) && difference.largest > comparison->largest)
        comparison->largest = difference.largest;
    if (difference.version || difference.behaviors || difference.interests)
        show_user(comparison, comparison->sides[0].user, NULL, comparison->sides[0].user->version,
                  comparison->sides[1].user->version, &difference);
    return MS_OK;
}

static void take_one(struct comparison *comparison, int which)
{
    static const struct difference all = {.largest = INFINITY};
    const struct ms_user *user = comparison->sides[which].user;
    comparison->sides[which].only++;
    show_user(comparison, user, which ? "b" : "a", which ? 0 : user->version, which ? user->version : 0,
              &all);
}

/* ---- the walks ---- */

static enum ms_status step(struct side *side, struct ms_error *error)
{
    free(side->user);
    side->user = NULL;
    enum ms_status status = ms_user_walk_next(side->walk, &side->user, NULL, error);
    return status == MS_OK ? MS_OK : ms_fail_in(error, status, "%s", side->dir);
}

static enum ms_status compare_all(struct comparison *comparison, struct ms_error *error)
{
    struct side *a = &comparison->sides[0], *b = &comparison->sides[1];
    enum ms_status status = step(a, error);
    if (status == MS_OK)
        status = step(b, error);
    while (status == MS_OK && (a->user || b->user)) {
        int order = ms_user_order(a->user, b->user);
        if (order == 0)
            status = take_both(comparison, error);
        else
            take_one(comparison, order < 0 ? 0 : 1);
        if (status == MS_OK && order <= 0)
            status = step(a, error);
        if (status == MS_OK && order >= 0)
            status = step(b, error);
    }
    return status;
}

static enum ms_status open_side(struct comparison *comparison, int which, const struct ms_config *settings,
                                const char *dir, struct ms_error *error)
{
    struct side *side = &comparison->sides[which];
    struct ms_config config = *settings;
    config.state_dir = dir;
    side->dir = dir;
    enum ms_status status = ms_inspect_open(&side->store, &config, error);
    if (status == MS_OK)
        status = ms_user_walk_begin(&side->walk, side->store, error);
    if (status != MS_OK || !comparison->model)
        return status;
    return ms_inspect_viewer(&side->viewer, comparison->model, &config, error);
}

static enum ms_status open_model(struct comparison *comparison, const struct ms_config *config,
                                 struct ms_error *error)
{
    if (!config->model_dir[0])
        return MS_OK;
    enum ms_status status = ms_setup_model(&comparison->model, config, error);
    if (status != MS_OK)
        return status;
    const struct ms_model_config *of = ms_model_config(comparison->model);
    comparison->vectors = malloc((size_t)of->interests * (size_t)of->dim * sizeof(float));
    return comparison->vectors ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for interests");
}

static void close_all(struct comparison *comparison)
{
    for (int i = 0; i < 2; i++) {
        struct side *side = &comparison->sides[i];
        free(side->user);
        ms_viewer_destroy(side->viewer);
        ms_user_walk_end(side->walk);
        ms_store_close(side->store);
    }
    free(comparison->vectors);
    ms_model_destroy(comparison->model);
    ms_table_free(&comparison->table);
}

/* ---- the command ---- */

static enum ms_status print_summary(struct comparison *comparison, struct ms_error *error)
{
    const struct comparison *c = comparison;
    uint64_t only_a = c->sides[0].only, only_b = c->sides[1].only;
    if (c->json) {
        json_t *sums = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "only_in_a", (json_int_t)only_a,
                                 "only_in_b", (json_int_t)only_b, "in_both", (json_int_t)c->both,
                                 "versions_differ", (json_int_t)c->versions, "behaviors_differ",
                                 (json_int_t)c->behaviors, "interests_differ", (json_int_t)c->interests,
                                 "largest", c->largest, "compared", c->model ? "interests" : "sums");
        fputs("],\"summary\":", stdout);
        enum ms_status status = MS_MEMORY;
        if (sums)
            status = json_dumpf(sums, stdout, JSON_COMPACT) == 0 ? MS_OK : MS_IO;
        json_decref(sums);
        fputs("}\n", stdout);
        return status == MS_OK ? MS_OK : ms_fail(error, status, "the summary could not be written");
    }
    enum ms_status status = c->shown ? ms_inspect_print_table(&comparison->table, error) : MS_OK;
    if (c->differing > c->shown)
        printf("(%" PRIu64 " more; --limit 0 shows all)\n", c->differing - c->shown);
    printf("%" PRIu64 " users in both, %" PRIu64 " only in A, %" PRIu64
           " only in B; of those in both %" PRIu64 " differ in version, %" PRIu64 " in behaviors, %" PRIu64
           " in %s (largest difference %.3g)\n",
           c->both, only_a, only_b, c->versions, c->behaviors, c->interests,
           c->model ? "interests" : "stored sums", c->largest);
    return status;
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct comparison comparison = {
        .json = arguments->json, .limit = (size_t)arguments->limit, .tolerance = arguments->tolerance};
    static const char *const titles[] = {"partition", "version in A", "version in B"};
    comparison.table.palette = ms_inspect_palette(arguments);
    ms_table_column(&comparison.table, "user", false);
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        ms_table_column(&comparison.table, titles[i], true);
    ms_table_column(&comparison.table, "differs in", false);
    enum ms_status status = open_model(&comparison, config, error);
    if (status == MS_OK)
        status = open_side(&comparison, 0, config, arguments->left, error);
    if (status == MS_OK)
        status = open_side(&comparison, 1, config, arguments->right, error);
    if (status == MS_OK && comparison.json)
        fputs("{\"differences\":[", stdout);
    if (status == MS_OK)
        status = compare_all(&comparison, error);
    if (status == MS_OK)
        status = print_summary(&comparison, error);
    bool equal = comparison.differing == 0;
    close_all(&comparison);
    if (status == MS_OK && !equal) /* told already */
        return MS_NOT_FOUND;
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    {.name = "A",
     .kind = MS_ARGUMENT_DIRECTORY,
     .positional = true,
     .required = true,
     .help = "a state directory",
     MS_INSPECT_AT(left)},
    {.name = "B",
     .kind = MS_ARGUMENT_DIRECTORY,
     .positional = true,
     .required = true,
     .help = "another one",
     MS_INSPECT_AT(right)},
    MS_SETTINGS_ROWS(struct ms_inspect_arguments, sources),
    MS_INSPECT_COLOR_ROW,
    {.name = "model",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help = "compare the interests under this model; without one the stored sums are compared",
     MS_INSPECT_AT(sources.model_dir)},
    {.name = "tolerance",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 1e6,
     .standard = "0",
     .placeholder = "T",
     .help = "components of vectors that differ by no more count as equal",
     MS_INSPECT_AT(tolerance)},
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "20",
     .placeholder = "N",
     .help = "name the first N users that differ, 0 for all",
     MS_INSPECT_AT(limit)},
    {.name = "json", .kind = MS_ARGUMENT_FLAG, .help = "JSON, see below", MS_INSPECT_AT(json)},
    {0},
};

const struct ms_command ms_inspect_diff = {
    .name = "diff",
    .summary = "what differs between two state directories",
    .description =
        "Compares two state directories user by user: users that only one has, versions, behaviors and profiles, and\n"
        "interests (with a model) or stored sums. Applied offsets, fold ids and the time of a flush do not count: two\n"
        "services that have folded the same events are equal. Each may be live.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  differences [{user_id, partition, only_in (\"a\", \"b\" or null), version_a, version_b, behaviors_differ,\n"
    "  interests_differ, largest (null: another number of interests)}], summary {only_in_a, only_in_b, in_both,\n"
    "  versions_differ, behaviors_differ, interests_differ, largest, compared}\n",
    .examples = "mindstream inspect diff /var/lib/mindstream /srv/replayed --model /srv/models/tmall\n"
                "mindstream inspect diff blue green --json --limit 0 | jq .summary\n",
    .exit_status =
        "0 equal, 1 something differs or a state cannot be read, 2 bad usage or settings, 3 a damaged state",
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};

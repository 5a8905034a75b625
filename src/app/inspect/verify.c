/* mindstream inspect verify: are the users what their events make of them, and was that published? */
#include "app/inspect/verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/compare.h"
#include "app/inspector.h"
#include "base/log.h"
#include "view/escape.h"
#include "view/json.h"

static const char *const reason_keys[] = {
#define REASON_KEY(name, key, text) key,
    MS_VERIFY_REASONS(REASON_KEY)
#undef REASON_KEY
};
static const char *const reason_texts[] = {
#define REASON_TEXT(name, key, text) text,
    MS_VERIFY_REASONS(REASON_TEXT)
#undef REASON_TEXT
};

/* ---- counting ---- */

static void count_verdict(struct ms_verify_tally *tally, const struct ms_verdict *verdict)
{
    tally->count[verdict->outcome]++;
    if (verdict->outcome == MS_VERIFY_UNKNOWN)
        tally->reasons[verdict->reason]++;
}

/* ---- what is shown ---- */

static json_t *json_of_number(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

static void show_json(const struct ms_verify *verify, struct ms_bytes id, int partition, uint64_t version,
                      const struct ms_verdict *verdict)
{
    json_t *one = json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "user_id", ms_view_json_bytes(id),
                            "partition", partition < 0 ? json_null() : json_integer(partition), "version",
                            version ? json_integer((json_int_t)version) : json_null(), "against",
                            verdict->against, "what", verdict->what, "version_there",
                            verdict->has_version ? json_integer((json_int_t)verdict->version) : json_null(),
                            "slot", verdict->slot < 0 ? json_null() : json_integer(verdict->slot), "largest",
                            json_of_number(verdict->largest));
    fputs(verify->shown ? ",\n" : "{\"differences\":[", stdout);
    if (one)
        json_dumpf(one, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(one);
}

static void optional_cell(struct ms_table *table, bool there, uint64_t number)
{
    if (there)
        ms_table_cell(table, "%" PRIu64, number);
    else
        ms_table_cell(table, "-");
}

static void show_row(struct ms_verify *verify, struct ms_bytes id, int partition, uint64_t version,
                     const struct ms_verdict *verdict)
{
    struct ms_table *table = &verify->table;
    ms_table_bytes(table, id);
    optional_cell(table, partition >= 0, (uint64_t)partition);
    optional_cell(table, version > 0, version);
    ms_table_cell(table, "%s", verdict->against);
    optional_cell(table, verdict->has_version, verdict->version);
    optional_cell(table, verdict->slot >= 0, (uint64_t)verdict->slot);
    if (isfinite(verdict->largest) && verdict->largest > 0)
        ms_table_cell(table, "%.3g", verdict->largest);
    else
        ms_table_cell(table, "-");
    ms_table_bytes(table, (struct ms_bytes){verdict->what, strlen(verdict->what)});
}

static void show_difference(struct ms_verify *verify, struct ms_bytes id, int partition, uint64_t version,
                            const struct ms_verdict *verdict)
{
    size_t limit = (size_t)verify->arguments->limit;
    verify->differences++;
    if (limit && verify->shown == limit)
        return;
    if (verify->arguments->json)
        show_json(verify, id, partition, version, verdict);
    else
        show_row(verify, id, partition, version, verdict);
    verify->shown++;
}

/* ---- a user ---- */

/* The worse of two outcomes is that of the user. */
static void settle(struct ms_verify *verify, const struct ms_verdict *state, const struct ms_verdict *output)
{
    bool second = output && output->outcome > state->outcome;
    count_verdict(&verify->all, second ? output : state);
}

/* |other|: the same user from the input topic, where its partition was read again. */
static enum ms_status check_user(struct ms_verify *verify, struct ms_user **at, struct ms_user **other,
                                 struct ms_error *error)
{
    struct ms_verdict state = {.outcome = MS_VERIFY_AGREES}, output = state;
    struct ms_verify_user user = {.user = *at};
    struct ms_error damage = {0};
    enum ms_status status = ms_viewer_fold(verify->viewer, at, &user.context, &user.refolded, &damage);
    user.user = *at;
    uint64_t version = user.user->version;
    int partition = user.user->partition;
    if (status == MS_STATE)
        ms_verdict_differs(&state, "kept behaviors", "%s", damage.text);
    else if (status != MS_OK)
        return ms_fail(error, status, "%s", damage.text);
    else if (version > 0)
        status = ms_verify_state(verify, &user, other, &state, error);
    if (status != MS_OK && status != MS_STATE)
        return status;
    bool published = verify->published && status == MS_OK &&
                     ms_published_compare(verify->published, &user, &output);
    if (version == 0 && !published && state.outcome == MS_VERIFY_AGREES)
        return MS_OK; /* a profile alone is no user yet */
    count_verdict(&verify->state, &state);
    if (published)
        count_verdict(&verify->output, &output);
    settle(verify, &state, published ? &output : NULL);
    if (state.outcome == MS_VERIFY_DIFFERS)
        show_difference(verify, ms_user_id(user.user), partition, version, &state);
    if (output.outcome == MS_VERIFY_DIFFERS)
        show_difference(verify, ms_user_id(user.user), partition, version, &output);
    return MS_OK;
}

/* A user that the input topic has and the state has not. */
static void check_missing(struct ms_verify *verify, const struct ms_user *other)
{
    struct ms_verdict verdict;
    if (other->version == 0 || !verify->partitions[other->partition].again)
        return;
    ms_verdict_differs(&verdict, "input topic", "the state has no such user");
    verdict.has_version = true;
    verdict.version = other->version;
    count_verdict(&verify->state, &verdict);
    settle(verify, &verdict, NULL);
    show_difference(verify, ms_user_id(other), other->partition, 0, &verdict);
}

static void check_unpublished(struct ms_verify *verify, struct ms_bytes id, uint64_t version,
                              const struct ms_verdict *verdict)
{
    (void)version;
    count_verdict(&verify->output, verdict);
    settle(verify, verdict, NULL);
    if (verdict->outcome == MS_VERIFY_DIFFERS)
        show_difference(verify, id, -1, 0, verdict);
}

/* ---- a pass ---- */

/* The next user of this pass. One whose rows are damaged differs, and the walk goes on behind it. */
static enum ms_status next_user(struct ms_verify *verify, struct ms_user_walk *walk, struct ms_user **user,
                                struct ms_error *error)
{
    for (;;) {
        uint16_t partition;
        struct ms_bytes id;
        struct ms_error damage = {0};
        enum ms_status status = ms_user_walk_next(walk, user, NULL, &damage);
        if (status == MS_STATE && ms_user_walk_failed_at(walk, &partition, &id)) {
            struct ms_verdict verdict;
            if (!ms_verify_turn(verify, id))
                continue;
            ms_verdict_differs(&verdict, "kept behaviors", "%s", damage.text);
            count_verdict(&verify->state, &verdict);
            settle(verify, &verdict, NULL);
            show_difference(verify, id, partition, 0, &verdict);
            continue;
        }
        if (status != MS_OK)
            return ms_fail(error, status, "%s", damage.text);
        if (!*user || ms_verify_turn(verify, ms_user_id(*user)))
            return MS_OK;
        free(*user);
    }
}

static enum ms_status next_other(struct ms_verify *verify, struct ms_user_walk *walk, struct ms_user **other,
                                 struct ms_error *error)
{
    enum ms_status status = MS_OK;
    do {
        free(*other);
        *other = NULL;
        if (walk)
            status = ms_user_walk_next(walk, other, NULL, error);
    } while (status == MS_OK && *other && !ms_verify_turn(verify, ms_user_id(*other)));
    return status;
}

/* The user of the other walk that is no earlier than |user|; those before it are missing in the state. */
static enum ms_status catch_up(struct ms_verify *verify, struct ms_user_walk *walk,
                               const struct ms_user *user, struct ms_user **other, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    while (status == MS_OK && *other && ms_user_order(*other, user) < 0) {
        check_missing(verify, *other);
        status = next_other(verify, walk, other, error);
    }
    return status;
}

static enum ms_status walk_users(struct ms_verify *verify, struct ms_user_walk *walk,
                                 struct ms_user_walk *others, struct ms_error *error)
{
    struct ms_user *user = NULL, *other = NULL, *none = NULL;
    struct ms_progress progress;
    uint64_t done = 0;
    ms_progress_start(&progress, "users of this pass", 0);
    enum ms_status status = next_other(verify, others, &other, error);
    while (status == MS_OK && (status = next_user(verify, walk, &user, error)) == MS_OK && user) {
        if (atomic_load(verify->setup.service.stop))
            status = ms_fail(error, MS_KAFKA_RETRY, "stopped before all users were compared");
        if (status == MS_OK)
            status = catch_up(verify, others, user, &other, error);
        if (status == MS_OK)
            status = check_user(verify, &user, other && ms_user_order(other, user) == 0 ? &other : &none,
                                error);
        bool both = other && user && ms_user_order(other, user) == 0;
        if (status == MS_OK && both)
            status = next_other(verify, others, &other, error);
        free(user);
        user = NULL;
        if (++done % 1024 == 0)
            ms_progress_update(&progress, done);
    }
    while (status == MS_OK && other) {
        check_missing(verify, other);
        status = next_other(verify, others, &other, error);
    }
    if (progress.terminal)
        ms_progress_end(&progress, done);
    free(user);
    free(other);
    return status;
}

static enum ms_status pass(struct ms_verify *verify, bool *full, struct ms_error *error)
{
    struct ms_user_walk *walk = NULL, *others = NULL;
    enum ms_status status = MS_OK;
    *full = false;
    if (verify->published)
        status = ms_published_read(verify->published, full, error);
    if (status == MS_OK && !*full)
        status = ms_user_walk_begin(&walk, verify->store, error);
    if (status == MS_OK && !*full && verify->scratch)
        status = ms_user_walk_begin(&others, verify->scratch, error);
    if (status == MS_OK && !*full)
        status = walk_users(verify, walk, others, error);
    if (status == MS_OK && !*full && verify->published)
        ms_published_rest(verify->published, check_unpublished);
    ms_user_walk_end(walk);
    ms_user_walk_end(others);
    return status;
}

static enum ms_status run_passes(struct ms_verify *verify, struct ms_error *error)
{
    uint64_t sample = (uint64_t)verify->arguments->sample;
    uint64_t users = sample && sample < verify->users ? sample : verify->users;
    enum ms_status status = MS_OK;
    if (verify->arguments->output_topic)
        status = ms_published_new(&verify->published, verify, error);
    if (status == MS_OK && verify->published)
        verify->buckets = ms_published_passes(verify->published, users);
    while (status == MS_OK && verify->bucket < verify->buckets) {
        bool full;
        status = pass(verify, &full, error);
        if (status == MS_OK && full)
            verify->buckets *= 2;
        else
            verify->bucket++;
    }
    return status;
}

/* ---- the summary ---- */

static json_t *reasons_json(const struct ms_verify_tally *tally)
{
    json_t *reasons = json_object();
    for (size_t i = 0; i < MS_VERIFY_REASON_COUNT; i++) {
        if (tally->reasons[i])
            json_object_set_new(reasons, reason_keys[i], json_integer((json_int_t)tally->reasons[i]));
    }
    return reasons;
}

static json_t *tally_json(const struct ms_verify_tally *tally)
{
    return json_pack("{s:I, s:I, s:I, s:o}", "agree", (json_int_t)tally->count[MS_VERIFY_AGREES], "differ",
                     (json_int_t)tally->count[MS_VERIFY_DIFFERS], "not_checkable",
                     (json_int_t)tally->count[MS_VERIFY_UNKNOWN], "reasons", reasons_json(tally));
}

static enum ms_status summary_json(const struct ms_verify *verify, struct ms_error *error)
{
    const uint64_t *count = verify->all.count;
    json_t *summary = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o}", "users_in_state", (json_int_t)verify->users, "checked",
        (json_int_t)(count[MS_VERIFY_AGREES] + count[MS_VERIFY_DIFFERS]), "differ",
        (json_int_t)count[MS_VERIFY_DIFFERS], "not_checkable", (json_int_t)count[MS_VERIFY_UNKNOWN],
        "tolerance", verify->arguments->tolerance, "state", tally_json(&verify->state), "output",
        verify->published ? tally_json(&verify->output) : json_null(), "forgotten",
        verify->published ? json_integer((json_int_t)verify->forgotten) : json_null());
    fputs(verify->shown ? "],\"summary\":" : "{\"differences\":[],\"summary\":", stdout);
    enum ms_status status = MS_MEMORY;
    if (summary)
        status = json_dumpf(summary, stdout, JSON_COMPACT) == 0 ? MS_OK : MS_IO;
    json_decref(summary);
    fputs("}\n", stdout);
    return status == MS_OK ? MS_OK : ms_fail(error, status, "the summary could not be written");
}

static void print_tally(const char *what, const char *more, const struct ms_verify_tally *tally)
{
    printf("%s%s: %" PRIu64 " agree, %" PRIu64 " differ, %" PRIu64 " could not be checked\n", what, more,
           tally->count[MS_VERIFY_AGREES], tally->count[MS_VERIFY_DIFFERS], tally->count[MS_VERIFY_UNKNOWN]);
    for (size_t i = 0; i < MS_VERIFY_REASON_COUNT; i++) {
        if (tally->reasons[i])
            printf("  %" PRIu64 ": %s\n", tally->reasons[i], reason_texts[i]);
    }
}

static enum ms_status print_summary(struct ms_verify *verify, struct ms_error *error)
{
    const uint64_t *count = verify->all.count;
    if (verify->arguments->json)
        return summary_json(verify, error);
    enum ms_status status = verify->shown ? ms_inspect_print_table(&verify->table, error) : MS_OK;
    if (verify->differences > verify->shown)
        printf("(%" PRIu64 " more; --limit 0 shows all)\n", verify->differences - verify->shown);
    print_tally("state against ", verify->scratch ? "the input topic and kept behaviors" : "kept behaviors",
                &verify->state);
    if (verify->published) {
        print_tally("state against output topic ", verify->arguments->output_topic, &verify->output);
        if (verify->forgotten)
            printf("  %" PRIu64 " forgotten users have a null value there, and are not in the state\n",
                   verify->forgotten);
    }
    printf("%" PRIu64 " users checked (tolerance %g), %" PRIu64 " differ, %" PRIu64 " could not be checked\n",
           count[MS_VERIFY_AGREES] + count[MS_VERIFY_DIFFERS], verify->arguments->tolerance,
           count[MS_VERIFY_DIFFERS], count[MS_VERIFY_UNKNOWN]);
    return status;
}

/* ---- the command ---- */

static enum ms_status open_model(struct ms_verify *verify, const struct ms_options *options,
                                 struct ms_error *error)
{
    const struct ms_config *config = verify->config;
    bool kafka = verify->arguments->output_topic || verify->arguments->from_input;
    enum ms_status status = MS_OK;
    verify->setup.service.stop = ms_setup_signals();
    if (!config->model_dir[0])
        return ms_fail(
            error, MS_CONFIG,
            "which model? give --model DIR, or -c FILE with model.dir in it; users are folded again");
    if (kafka)
        status = ms_options_require(options, "run", error);
    if (status == MS_OK && kafka)
        status = ms_setup(&verify->setup, options, verify->setup.service.stop, error);
    else if (status == MS_OK)
        status = ms_setup_model(&verify->setup.model, config, error);
    if (status != MS_OK)
        return status;
    ms_log_set_level(MS_LOG_ERROR);
    verify->model = verify->setup.model;
    const struct ms_model_config *of = ms_model_config(verify->model);
    verify->vectors = malloc((size_t)of->interests * ((size_t)of->dim + 1) * sizeof(float));
    if (!verify->vectors)
        return ms_fail(error, MS_MEMORY, "no memory for interests");
    return ms_inspect_viewer(&verify->viewer, verify->model, config, error);
}

/* The topics of other settings say nothing of this state. */
static enum ms_status check_identity(const struct ms_verify *verify, struct ms_error *error)
{
    const struct ms_config *config = verify->config;
    const char *application = ms_store_application_id(verify->store);
    const char *topic = ms_store_input_topic(verify->store);
    if (!verify->arguments->output_topic && !verify->arguments->from_input)
        return MS_OK;
    if (strcmp(application, config->application_id) != 0)
        return ms_fail(error, MS_CONFIG,
                       "%s: it is the state of application %s, the settings are those of %s",
                       config->state_dir, application, config->application_id);
    if (strcmp(topic, config->input_topic) != 0)
        return ms_fail(error, MS_CONFIG, "%s: it was folded from topic %s, the settings name %s",
                       config->state_dir, topic, config->input_topic);
    return MS_OK;
}

static enum ms_status verify_all(struct ms_verify *verify, const struct ms_options *options,
                                 struct ms_error *error)
{
    enum ms_status status = open_model(verify, options, error);
    if (status == MS_OK)
        status = ms_inspect_open(&verify->store, verify->config, error);
    if (status == MS_OK)
        status = check_identity(verify, error);
    if (status == MS_OK)
        status = ms_verify_survey(verify, error);
    if (status == MS_OK && verify->arguments->from_input)
        status = ms_verify_read_input(verify, error);
    if (status == MS_OK)
        status = run_passes(verify, error);
    return status == MS_OK ? print_summary(verify, error) : status;
}

static void close_all(struct ms_verify *verify)
{
    ms_published_destroy(verify->published);
    ms_viewer_destroy(verify->viewer);
    ms_store_close(verify->scratch);
    ms_store_close(verify->store);
    ms_scratch_remove(&verify->scratch_dir);
    ms_setup_free(&verify->setup);
    ms_table_free(&verify->table);
    free(verify->partitions);
    free(verify->vectors);
}

static void name_columns(struct ms_table *table)
{
    ms_table_column(table, "user", false);
    ms_table_column(table, "partition", true);
    ms_table_column(table, "version", true);
    ms_table_column(table, "against", false);
    ms_table_column(table, "version there", true);
    ms_table_column(table, "slot", true);
    ms_table_column(table, "largest difference", true);
    ms_table_column(table, "differs in", false);
}

static enum ms_status run(void *context, struct ms_error *error)
{
    struct ms_inspect_arguments *arguments = context;
    struct ms_options *options = NULL;
    arguments->sources.environment = environ;
    enum ms_status status = ms_options_load(&options, &arguments->sources, error);
    if (status != MS_OK)
        return status;
    struct ms_verify verify = {.arguments = arguments, .config = ms_options_config(options)};
    name_columns(&verify.table);
    status = verify_all(&verify, options, error);
    bool equal = verify.differences == 0;
    close_all(&verify);
    ms_options_destroy(options);
    return status == MS_OK && !equal ? MS_NOT_FOUND : status; /* told already */
}

static const struct ms_argument rows[] = {
    MS_INSPECT_STATE_ROWS,
    {.name = "sample",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 100000000,
     .placeholder = "N",
     .standard_text = "all users",
     .help = "N users, chosen by a hash of their ids: the same ones each time",
     MS_INSPECT_AT(sample)},
    {.name = "output-topic",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "TOPIC",
     .help = "compare with the last record of each user in TOPIC, too; needs -c FILE",
     MS_INSPECT_AT(output_topic)},
    {.name = "from-input",
     .kind = MS_ARGUMENT_FLAG,
     .help =
         "read the input topic from each partition's origin, fold it again, and compare with that; needs -c FILE",
     MS_INSPECT_AT(from_input)},
    {.name = "scratch",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .standard_text = "TMPDIR, or /var/tmp",
     .help = "where --from-input builds a second state, which goes away at the end",
     MS_INSPECT_AT(scratch)},
    {.name = "memory",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 1 << 20,
     .standard = "512",
     .placeholder = "MIB",
     .help = "memory for the records of the output topic; where they need more, it is read several times",
     MS_INSPECT_AT(memory)},
    {.name = "tolerance",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 1e6,
     .standard = "0",
     .placeholder = "T",
     .help =
         "components of vectors that differ by no more count as equal; 0 fits one kind of CPU, 1e-5 several",
     MS_INSPECT_AT(tolerance)},
    {.name = "accept-holes",
     .kind = MS_ARGUMENT_FLAG,
     .help = "where the input topic is compacted, fold what is left of it",
     MS_INSPECT_AT(sources.accept_holes)},
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "20",
     .placeholder = "N",
     .help = "name the first N differences, 0 for all",
     MS_INSPECT_AT(limit)},
    {0},
};

const struct ms_command ms_inspect_verify = {
    .name = "verify",
    .summary = "fold users again, and compare with the state and with what was published",
    .description =
        "Folds each user again from its kept behaviors, where those are all that its sums hold, and compares. With\n"
        "--from-input all events are read again instead. With --output-topic the last record of each user is compared with\n"
        "the state. A user who may be different for a good reason is counted with the reason, as one that could not be\n"
        "checked: it is never guessed. Works beside a running service.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  differences [{user_id, partition, version (null: not in the state), against (\"kept behaviors\", \"input topic\",\n"
    "  \"output topic\"), what, version_there, slot, largest (null: another number of interests)}], summary {users_in_state,\n"
    "  checked, differ, not_checkable, tolerance, state {agree, differ, not_checkable, reasons {reason: users}}, output (as\n"
    "  state, or null), forgotten}\n",
    .examples =
        "mindstream inspect verify -c clicks.properties\n"
        "mindstream inspect verify -c clicks.properties --from-input --output-topic interests\n"
        "mindstream inspect verify -c clicks.properties --from-input --sample 1000 --json | jq .summary\n",
    .exit_status =
        "0 nothing differs, 1 some users differ or it failed, 2 bad usage or settings, 3 a newer state",
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};

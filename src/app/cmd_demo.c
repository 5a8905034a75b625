/* mindstream demo: runs the real service on an embedded broker, feeds it generated clicks, and shows what came of one
 * user. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/demo_clicks.h"
#include "app/inspector.h"
#include "app/service_setup.h"
#include "base/progress.h"
#include "base/room.h"
#include "base/scratch.h"
#include "mindstream/record.h"
#include "serve/server.h"
#include "synth/model.h"
#include "view/escape.h"
#include "view/text.h"

#define USERS 2000
#define ITEMS 5000

/* Longest waits. Together they keep the demo within a minute. */
#define WAIT_GROUP_S 20 /* librdkafka's mock needs 3 s to form a group */
#define WAIT_DRAIN_S 10
#define WAIT_CLICK_S 5
#define WAIT_STATE_S 5

/* The mock keeps about 5 MiB a partition: neither the service nor the reader may fall that far behind. */
#define MAX_UNREAD 10000
#define BROKEN     3
#define THREADS    24 /* of broker, service, clients and database, and room besides */
#define ROOM_BYTES ((size_t)400 << 20)
/* With --open, users get a history before the page is shown. */
#define HISTORY_S    4
#define HISTORY_RATE 8000
#define MAX_STEP     500 /* most clicks between two looks at the screen */

struct demo_arguments {
    int64_t seconds, rate;
    bool keep, open;
};

struct demo {
    const struct demo_arguments *arguments;
    struct ms_scratch scratch;
    char state_dir[PATH_MAX + 16], model_dir[PATH_MAX + 16];
    struct ms_generator *generator;
    struct ms_demo_broker *broker;
    struct ms_demo_clicks clicks;
    struct ms_options *options;
    struct ms_setup setup;
    struct ms_service *service;
    struct ms_server *server; /* with --open */
    int64_t rate;             /* clicks a second, at most */
    atomic_int stop;          /* what the service watches */
    const atomic_int *signalled;
    /* The live line. */
    bool terminal;
    double began_s, fed_from_s, printed_s;
    uint64_t printed_accepted, total_accepted;
    struct ms_histogram printed_us;
    struct ms_stats stats; /* as of the last look */
};

/* ---- start ---- */

static enum ms_status make_dir(struct demo *demo, struct ms_error *error)
{
    enum ms_status status = ms_scratch_make_in_tmp(&demo->scratch, "/mindstream-demo", ms_scratch_remove_all,
                                                   error);
    snprintf(demo->state_dir, sizeof demo->state_dir, "%s/state", demo->scratch.path);
    snprintf(demo->model_dir, sizeof demo->model_dir, "%s/model", demo->scratch.path);
    return status;
}

/* The settings, as --set would give them. No file and no environment variable is read. One worker and no static
 * membership: the mock cluster supports neither the offsets of a rebalance nor static members. */
static enum ms_status make_options(struct demo *demo, struct ms_error *error)
{
    char bootstrap[300], state_dir[PATH_MAX + 32], model_dir[PATH_MAX + 32];
    snprintf(bootstrap, sizeof bootstrap, "bootstrap.servers=%s", ms_demo_broker_bootstrap(demo->broker));
    snprintf(state_dir, sizeof state_dir, "state.dir=%s", demo->state_dir);
    snprintf(model_dir, sizeof model_dir, "model.dir=%s", demo->model_dir);
    const char *set[] = {"application.id=mindstream-demo",
                         bootstrap,
                         state_dir,
                         model_dir,
                         "input.topic=" MS_DEMO_INPUT,
                         "output.topic=" MS_DEMO_OUTPUT,
                         "dead.letter.topic=" MS_DEMO_DEAD_LETTERS,
                         "publish.mode=every",
                         "workers=1",
                         "group.static=false",
                         "state.memory.bytes=128M",
                         "state.flush.interval.ms=500",
                         "consumer.fetch.wait.max.ms=10",
                         "producer.max.in.flight.requests.per.connection=1",
                         "log.level=warn",
                         "http.listen=127.0.0.1:0"};
    struct ms_options_sources sources = {.set_count = sizeof set / sizeof *set - !demo->arguments->open};
    memcpy(sources.set, set, sizeof set);
    enum ms_status status = ms_options_load(&demo->options, &sources, error);
    return status == MS_OK ? ms_options_require(demo->options, "run", error) : status;
}

static enum ms_status start_demo(struct demo *demo, struct ms_error *error)
{
    static const struct ms_demo_topic topics[] = {
        {MS_DEMO_INPUT, MS_DEMO_PARTITIONS}, {MS_DEMO_OUTPUT, MS_DEMO_PARTITIONS}, {MS_DEMO_DEAD_LETTERS, 1}};
    struct ms_generator_settings settings = ms_generator_defaults();
    settings.users = USERS;
    settings.items = ITEMS;
    /* The clients would wait for threads that never start. */
    if (!ms_has_room_for_threads(THREADS, ROOM_BYTES))
        return ms_fail(error, MS_MEMORY, "no memory for a broker, a service and their threads");
    enum ms_status status = make_dir(demo, error);
    if (status == MS_OK)
        status = ms_generator_new(&demo->generator, &settings, error);
    if (status == MS_OK)
        status = ms_generator_write_model(demo->generator, demo->model_dir, false, error);
    if (status == MS_OK)
        status = ms_demo_broker_new(&demo->broker, topics, sizeof topics / sizeof *topics, error);
    if (status == MS_OK)
        status = make_options(demo, error);
    if (status == MS_OK)
        status = ms_setup(&demo->setup, demo->options, &demo->stop, error);
    if (status == MS_OK && demo->arguments->open)
        status = ms_server_start(&demo->server, ms_options_config(demo->options), error);
    if (status == MS_OK)
        status = ms_service_start(&demo->service, &demo->setup.service, error);
    if (status == MS_OK && demo->server)
        ms_server_attach(demo->server, demo->service);
    if (status == MS_OK)
        status = ms_demo_clicks_init(&demo->clicks, demo->generator, ms_demo_broker_bootstrap(demo->broker),
                                     error);
    return status;
}

/* Ends the service, frees everything and removes the directory. An error of the service replaces |status|. */
static enum ms_status end_demo(struct demo *demo, enum ms_status status, struct ms_error *error)
{
    atomic_store(&demo->stop, 1);
    ms_server_stop(demo->server);
    if (demo->service) {
        struct ms_error failure;
        while (!ms_service_done(demo->service))
            usleep(10000);
        enum ms_status ended = ms_service_end(demo->service, &failure);
        if (ended != MS_OK) {
            status = ended;
            *error = failure;
        }
    }
    ms_demo_clicks_free(&demo->clicks);
    ms_setup_free(&demo->setup);
    ms_options_destroy(demo->options);
    ms_demo_broker_destroy(demo->broker);
    ms_generator_destroy(demo->generator);
    ms_scratch_remove(&demo->scratch);
    return status;
}

/* ---- the live line ---- */

static bool interrupted(const struct demo *demo)
{
    return atomic_load(demo->signalled) != 0;
}

/* Reads the counters of the service. MS_KAFKA when it has ended (end_demo tells why), MS_KAFKA_RETRY when somebody asked
 * to stop. */
static enum ms_status look_at_service(struct demo *demo, struct ms_error *error)
{
    memset(&demo->stats, 0, sizeof demo->stats);
    ms_service_stats(demo->service, &demo->stats);
    demo->total_accepted = ms_counted(&demo->stats.accepted);
    if (ms_service_done(demo->service))
        return ms_fail(error, MS_KAFKA, "the service has ended");
    if (demo->clicks.out_of_memory)
        return ms_fail(error, MS_MEMORY, "no memory for a record");
    return interrupted(demo) ? ms_fail(error, MS_KAFKA_RETRY, "interrupted") : MS_OK;
}

static void histogram_since(const struct ms_histogram *now, const struct ms_histogram *before,
                            struct ms_histogram *out)
{
    out->count = now->count - before->count;
    for (size_t i = 0; i < MS_HISTOGRAM_BUCKETS; i++)
        out->buckets[i] = now->buckets[i] - before->buckets[i];
}

/* Prints what happened since the last line: rewritten in place on a terminal, a line every two seconds elsewhere. */
static void print_line(struct demo *demo)
{
    struct ms_histogram recent;
    double now_s = ms_monotonic_s(), passed_s = now_s - demo->printed_s;
    if (passed_s < (demo->terminal ? 0.25 : demo->arguments->seconds > 4 ? 2.0 : 1.0))
        return;
    histogram_since(&demo->stats.publish_us, &demo->printed_us, &recent);
    printf("%s%6.1f s  %6.0f events/s  %5" PRIu64 " users  %8" PRIu64
           " vectors published  event to publish p50 %.1f ms, p99 %.1f ms%s",
           demo->terminal ? "\r\033[K" : "", now_s - demo->fed_from_s,
           (double)(demo->total_accepted - demo->printed_accepted) / (passed_s > 0 ? passed_s : 1),
           ms_counted(&demo->stats.users), ms_counted(&demo->stats.records),
           (double)ms_histogram_quantile(&recent, 0.5) / 1000,
           (double)ms_histogram_quantile(&recent, 0.99) / 1000, demo->terminal ? "" : "\n");
    fflush(stdout);
    demo->printed_s = now_s;
    demo->printed_accepted = demo->total_accepted;
    demo->printed_us = demo->stats.publish_us;
}

/* ---- the phases ---- */

/* Feeds one click and waits until the service has read it. The group is formed then, so the next clicks meet no backlog. */
static enum ms_status wait_for_group(struct demo *demo, struct ms_error *error)
{
    double until_s = ms_monotonic_s() + WAIT_GROUP_S;
    enum ms_status status = ms_demo_clicks_feed(&demo->clicks, 1, error);
    while (status == MS_OK && demo->total_accepted == 0) {
        if (ms_monotonic_s() > until_s)
            return ms_fail(error, MS_KAFKA, "the service has read nothing for %d s", WAIT_GROUP_S);
        ms_demo_clicks_read(&demo->clicks, 20);
        status = look_at_service(demo, error);
    }
    return status;
}

/* How many clicks are due at the rate asked for, as far as the broker can keep them. */
static uint64_t clicks_due(const struct demo *demo, uint64_t fed_before)
{
    const struct ms_demo_clicks *clicks = &demo->clicks;
    double wanted = (ms_monotonic_s() - demo->fed_from_s) * (double)demo->rate;
    uint64_t fed = clicks->fed - fed_before, unread = clicks->fed - ms_counted(&demo->stats.events);
    uint64_t unread_records = ms_counted(&demo->stats.records) - clicks->records;
    if (unread > MAX_UNREAD || unread_records > MAX_UNREAD || wanted <= (double)fed)
        return 0;
    uint64_t count = (uint64_t)wanted - fed;
    return count < MAX_STEP ? count : MAX_STEP;
}

/* Feeds clicks and prints the live line for |seconds|; forever when it is negative. */
static enum ms_status stream_clicks(struct demo *demo, double seconds, struct ms_error *error)
{
    enum ms_status status = look_at_service(demo, error);
    uint64_t fed_before = demo->clicks.fed;
    demo->fed_from_s = demo->printed_s = ms_monotonic_s();
    demo->printed_accepted = demo->total_accepted;
    demo->printed_us = demo->stats.publish_us;
    while (status == MS_OK && (seconds < 0 || ms_monotonic_s() - demo->fed_from_s < seconds)) {
        status = ms_demo_clicks_feed(&demo->clicks, clicks_due(demo, fed_before), error);
        ms_demo_clicks_read(&demo->clicks, 2);
        if (status == MS_OK)
            status = look_at_service(demo, error);
        if (status == MS_OK)
            print_line(demo);
    }
    return status;
}

/* Waits until the service has read all that was fed and the reader has read all that was published. */
static enum ms_status drain_clicks(struct demo *demo, struct ms_error *error)
{
    double until_s = ms_monotonic_s() + WAIT_DRAIN_S;
    enum ms_status status = ms_demo_fed(demo->clicks.client, WAIT_DRAIN_S * 1000)
                                ? look_at_service(demo, error)
                                : ms_fail(error, MS_KAFKA, "the embedded broker does not take the clicks");
    while (status == MS_OK && (ms_counted(&demo->stats.events) < demo->clicks.fed ||
                               demo->clicks.records < ms_counted(&demo->stats.records) ||
                               demo->clicks.dead_letters < ms_counted(&demo->stats.dead_letters))) {
        if (ms_monotonic_s() > until_s) /* the mock keeps few records: a late reader misses the oldest */
            return ms_counted(&demo->stats.events) < demo->clicks.fed
                       ? ms_fail(error, MS_KAFKA, "the service has read %" PRIu64 " of %" PRIu64 " events",
                                 ms_counted(&demo->stats.events), demo->clicks.fed)
                       : MS_OK;
        ms_demo_clicks_read(&demo->clicks, 10);
        status = look_at_service(demo, error);
    }
    return status;
}

static enum ms_status print_summary(struct demo *demo, struct ms_error *error)
{
    printf("%s\n%" PRIu64 " events of %" PRIu64 " users read, %" PRIu64
           " exact duplicates among them; %" PRIu64 " vectors published in %" PRIu64 " transactions\n"
           "event to publish p50 %.1f ms, p99 %.1f ms (from reading an event to the commit that publishes "
           "its vectors)\n",
           demo->terminal ? "\r\033[K" : "", ms_counted(&demo->stats.events), ms_counted(&demo->stats.users),
           ms_counted(&demo->stats.duplicates), ms_counted(&demo->stats.records),
           ms_counted(&demo->stats.commits),
           (double)ms_histogram_quantile(&demo->stats.publish_us, 0.5) / 1000,
           (double)ms_histogram_quantile(&demo->stats.publish_us, 0.99) / 1000);
    if (demo->clicks.records == 0)
        return ms_fail(error, MS_KAFKA, "no record came out of topic " MS_DEMO_OUTPUT);
    return MS_OK;
}

/* Feeds clicks that are not JSON. The service's warning shows on stderr; the clicks come back from the dead-letter topic. */
static enum ms_status feed_broken_clicks(struct demo *demo, struct ms_error *error)
{
    double until_s = ms_monotonic_s() + WAIT_CLICK_S;
    printf("\n%d clicks that are cut short, on purpose:\n", BROKEN);
    fflush(stdout);
    enum ms_status status = ms_demo_clicks_break(&demo->clicks, BROKEN, error);
    while (status == MS_OK && demo->clicks.dead_letters < BROKEN) {
        if (ms_monotonic_s() > until_s)
            return ms_fail(error, MS_KAFKA,
                           "%" PRIu64 " of %d broken clicks came to topic " MS_DEMO_DEAD_LETTERS,
                           demo->clicks.dead_letters, BROKEN);
        ms_demo_clicks_read(&demo->clicks, 5);
        status = look_at_service(demo, error);
    }
    if (status == MS_OK)
        printf("%" PRIu64 " dead letters read back from topic " MS_DEMO_DEAD_LETTERS "\n",
               demo->clicks.dead_letters);
    return status;
}

/* Feeds one more click of one user and waits for its record. */
static enum ms_status feed_one_click(struct demo *demo, struct ms_generated *clicked, double *took_s,
                                     struct ms_error *error)
{
    double from_s = ms_monotonic_s();
    enum ms_status status = ms_demo_clicks_one_more(&demo->clicks, clicked, error);
    while (status == MS_OK && !demo->clicks.found) {
        if (ms_monotonic_s() - from_s > WAIT_CLICK_S)
            return ms_fail(error, MS_KAFKA, "no record for the click of u%" PRIu32 " within %d s",
                           clicked->user, WAIT_CLICK_S);
        ms_demo_clicks_read(&demo->clicks, 5);
        status = look_at_service(demo, error);
    }
    if (status == MS_OK)
        *took_s = demo->clicks.last.at_s - from_s;
    return status;
}

/* ---- the results ---- */

static void print_record(const struct demo *demo, const struct ms_record *record)
{
    const struct ms_demo_found *found = &demo->clicks.last;
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, record->event_time_ms);
    printf("  topic " MS_DEMO_OUTPUT ", partition %" PRId32 ", offset %" PRId64
           ", key %s, %zu bytes of protobuf:\n",
           found->partition, found->offset, demo->clicks.watched, found->value.size);
    printf("  user_id %.*s  version %" PRIu64 "  event_time %s  model %.*s  dim %d\n",
           (int)record->user_id.size, record->user_id.data, record->version, time, (int)record->model.size,
           record->model.data, record->interests.dim);
    for (int k = 0; k < record->interests.count; k++) {
        const float *vector = record->interests.vectors + (size_t)k * (size_t)record->interests.dim;
        printf("  slot %d  weight %.3f  vector [", k, (double)record->interests.weights[k]);
        for (int i = 0; i < 5 && i < record->interests.dim; i++)
            printf("%.4f, ", (double)vector[i]);
        puts("...]");
    }
}

/* The largest difference between the published vectors and those of the state; infinite when version, count or dimension
 * differ. */
static double largest_difference(const struct ms_record *record, const struct ms_user_view *view)
{
    double worst = 0;
    if (record->version != view->version || record->interests.count != view->interest_count ||
        record->interests.dim != view->dim)
        return INFINITY;
    for (int i = 0; i < view->interest_count * view->dim; i++)
        worst = fmax(worst, fabs((double)record->interests.vectors[i] - (double)view->vectors[i]));
    return worst;
}

/* Waits until a flush has written |version| of the user, and opens it. */
static enum ms_status wait_for_state(struct demo *demo, uint64_t version, struct ms_inspector **inspector,
                                     struct ms_user_view **view, struct ms_error *error)
{
    struct ms_bytes id = {demo->clicks.watched, strlen(demo->clicks.watched)};
    const struct ms_inspected anywhere = {.partition = -1};
    double until_s = ms_monotonic_s() + WAIT_STATE_S;
    for (;;) {
        enum ms_status status = ms_inspector_new(inspector, ms_options_config(demo->options), error);
        if (status == MS_OK)
            status = ms_inspector_view(*inspector, id, &anywhere, view, error);
        if (status == MS_OK && (*view)->version >= version)
            return MS_OK;
        ms_user_view_destroy(*view);
        ms_inspector_destroy(*inspector);
        *view = NULL;
        *inspector = NULL;
        if (status != MS_OK && status != MS_NOT_FOUND)
            return status;
        if (ms_monotonic_s() > until_s)
            return ms_fail(error, MS_NOT_FOUND,
                           "version %" PRIu64 " of %s has not reached the state within %d s", version,
                           demo->clicks.watched, WAIT_STATE_S);
        usleep(100000);
    }
}

static enum ms_status show_user(struct demo *demo, const struct ms_record *record, struct ms_error *error)
{
    struct ms_inspector *inspector = NULL;
    struct ms_user_view *view = NULL;
    struct ms_buffer text = {0};
    enum ms_status status = wait_for_state(demo, record->version, &inspector, &view, error);
    if (status == MS_OK) {
        printf("\nThe state while the service runs, `%s inspect user %s`:\n\n", program_invocation_name,
               demo->clicks.watched);
        status = ms_user_view_text(view, 10, NULL, &text, error);
        fwrite(text.data, 1, text.size, stdout);
    }
    if (status == MS_OK) {
        double off = largest_difference(record, view);
        puts("\nThe record that the click gave, read back and decoded:\n");
        print_record(demo, record);
        if (off > 1e-6)
            status = ms_fail(error, MS_FORMAT, "the record differs from the state by %g", off);
        else
            printf("  the vectors are those of the state (largest difference %g)\n", off);
    }
    ms_buffer_free(&text);
    ms_user_view_destroy(view);
    ms_inspector_destroy(inspector);
    return status;
}

static enum ms_status show_results(struct demo *demo, struct ms_error *error)
{
    struct ms_generated clicked;
    struct ms_decoded *decoded = NULL;
    double took_s = 0;
    enum ms_status status = feed_one_click(demo, &clicked, &took_s, error);
    if (status == MS_OK) {
        const struct ms_buffer *value = &demo->clicks.last.value;
        status = ms_decode_user(&decoded, MS_RECORD_PROTOBUF, (struct ms_bytes){value->data, value->size},
                                error);
    }
    if (status == MS_OK) {
        printf("\nOne more click: u%" PRIu32 " on i%" PRIu32 ". Its record could be read %.1f ms later.\n",
               clicked.user, clicked.item, took_s * 1000);
        status = show_user(demo, ms_decoded_record(decoded), error);
    }
    ms_decoded_destroy(decoded);
    return status;
}

/* How to go on with a real broker; each %s is this program. */
static const char next_steps[] =
    "\nThe same on a real Kafka, from the source directory (README.md: your own Kafka, your own model):\n"
    "\n"
    "  mkdir -p /tmp/ms && tools/kafka start\n"
    "  printf '%%s\\n' application.id=first bootstrap.servers=127.0.0.1:9092 input.topic=clicks \\\n"
    "    output.topic=interests dead.letter.topic=clicks-dead model.dir=/tmp/ms/model \\\n"
    "    state.dir=/tmp/ms/state > /tmp/ms/first.properties\n"
    "  %s topics create -c /tmp/ms/first.properties\n"
    "  %s generate --users 1000 --items 5000 --events 100000 --model-out /tmp/ms/model |\n"
    "    sed -E 's/^.\"user_id\":\"([^\"]*)\"/\\1|&/' | kcat -P -b 127.0.0.1:9092 -t clicks -K '|'\n"
    "  %s run -c /tmp/ms/first.properties        # until Ctrl-C; meanwhile or afterwards:\n"
    "  %s inspect user u7 -c /tmp/ms/first.properties\n"
    "  kcat -C -b 127.0.0.1:9092 -t interests -o -3 -e -f '%%k %%S bytes %%h\\n'\n"
    "  tools/kafka stop --purge\n";

static void print_how_to_look(const struct demo *demo)
{
    const char *broker = ms_demo_broker_bootstrap(demo->broker), *me = program_invocation_name;
    printf("\nClicks go on until Ctrl-C. From another terminal:\n\n"
           "  %s inspect users --state-dir %s\n"
           "  %s inspect user %s --state-dir %s --model %s\n"
           "  kcat -C -b %s -t " MS_DEMO_OUTPUT " -o -5 -e -f '%%k %%S bytes %%h\\n'\n"
           "  bootstrap address: %s\n\n",
           me, demo->state_dir, me, demo->clicks.watched, demo->state_dir, demo->model_dir, broker, broker);
    fflush(stdout);
}

/* ---- the page ---- */

/* Has the desktop open |address|; where there is none, the printed line has to do. */
static void open_browser(const char *address)
{
    char *const words[] = {(char *)(uintptr_t) "xdg-open", (char *)(uintptr_t)address, NULL};
    posix_spawn_file_actions_t quiet;
    pid_t child;
    if (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY"))
        return;
    if (posix_spawn_file_actions_init(&quiet) != 0)
        return;
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&child, words[0], &quiet, NULL, words, environ) == 0)
        waitpid(child, NULL, WNOHANG);
    posix_spawn_file_actions_destroy(&quiet);
}

/* Clicks until Ctrl-C, with the page beside them. */
static enum ms_status show_page(struct demo *demo, struct ms_error *error)
{
    char address[64];
    int64_t slow = demo->rate;
    demo->rate = HISTORY_RATE;
    enum ms_status status = stream_clicks(demo, HISTORY_S, error);
    demo->rate = slow;
    if (status != MS_OK)
        return status == MS_KAFKA_RETRY && interrupted(demo) ? MS_OK : status;
    snprintf(address, sizeof address, "http://127.0.0.1:%u/#user=u7", ms_server_port(demo->server));
    printf("%sThe page: %s\nClicks go on until Ctrl-C.\n\n", demo->terminal ? "\r\033[K" : "", address);
    fflush(stdout);
    open_browser(address);
    status = stream_clicks(demo, -1, error);
    if (demo->terminal)
        putchar('\n');
    return status == MS_KAFKA_RETRY && interrupted(demo) ? MS_OK : status;
}

/* ---- all of it ---- */

static enum ms_status run_phases(struct demo *demo, struct ms_error *error)
{
    printf(
        "An embedded broker, %d users, %d items, a model of 4 interests with 64 numbers each; up to %" PRId64
        " clicks a second",
        USERS, ITEMS, demo->rate);
    if (!demo->arguments->open)
        printf(" for %" PRId64 " s", demo->arguments->seconds);
    puts(".");
    fflush(stdout);
    enum ms_status status = start_demo(demo, error);
    if (status == MS_OK) {
        printf("The broker is %s; its group takes 3 s to form.\n\n", ms_demo_broker_bootstrap(demo->broker));
        fflush(stdout);
        status = wait_for_group(demo, error);
    }
    if (status == MS_OK && demo->server)
        return show_page(demo, error);
    if (status == MS_OK)
        status = stream_clicks(demo, (double)demo->arguments->seconds, error);
    if (status == MS_OK)
        status = drain_clicks(demo, error);
    if (status == MS_OK)
        status = print_summary(demo, error);
    if (status == MS_OK)
        status = feed_broken_clicks(demo, error);
    if (status == MS_OK)
        status = show_results(demo, error);
    if (status != MS_OK)
        return status;
    const char *me = program_invocation_name;
    printf(next_steps, me, me, me, me);
    if (!demo->arguments->keep)
        return MS_OK;
    print_how_to_look(demo);
    status = stream_clicks(demo, -1, error);
    if (demo->terminal)
        putchar('\n');
    return status == MS_KAFKA_RETRY && interrupted(demo) ? MS_OK : status; /* Ctrl-C is the way to end it */
}

/* ---- the command ---- */

static const struct ms_argument rows[] = {
    {.name = "seconds",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 3600,
     .standard = "10",
     .placeholder = "N",
     .help = "how long users click",
     .offset = offsetof(struct demo_arguments, seconds)},
    {.name = "rate",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 200000,
     .standard_text = "5000, with --open 200",
     .placeholder = "N",
     .help = "clicks a second, at most",
     .offset = offsetof(struct demo_arguments, rate)},
    {.name = "keep",
     .kind = MS_ARGUMENT_FLAG,
     .help = "go on until Ctrl-C, so that other programs can connect and look",
     .offset = offsetof(struct demo_arguments, keep)},
    {.name = "open",
     .kind = MS_ARGUMENT_FLAG,
     .help = "show the service's page in a browser, with slow clicks until Ctrl-C",
     .offset = offsetof(struct demo_arguments, open)},
    {0},
};

static enum ms_status run_demo(void *context, struct ms_error *error)
{
    struct demo *demo = calloc(1, sizeof *demo); /* its histograms are large for a stack */
    if (!demo)
        return ms_fail(error, MS_MEMORY, "no memory");
    demo->arguments = context;
    demo->rate = demo->arguments->rate ? demo->arguments->rate : demo->arguments->open ? 200 : 5000;
    demo->terminal = isatty(STDOUT_FILENO) == 1;
    demo->began_s = ms_monotonic_s();
    demo->signalled = ms_setup_signals();
    enum ms_status status = run_phases(demo, error);
    status = end_demo(demo, status, error);
    if (status == MS_OK)
        printf("\nDone in %.0f s.\n", ms_monotonic_s() - demo->began_s);
    free(demo);
    return status;
}

const struct ms_command ms_command_demo = {
    .name = "demo",
    .summary = "the whole path on an embedded broker, in a minute",
    .description =
        "Shows the service at work, without a Kafka and without a model of your own: it starts an embedded broker\n"
        "(librdkafka's mock cluster), makes a catalogue, a model and users that click, and runs on them what\n"
        "'mindstream run' runs: consumer, RocksDB state, routing, transactional producer, dead letters. It prints a live\n"
        "line, then one user as 'mindstream inspect user' shows it, a record read back from the output topic, and the\n"
        "commands to go on with. It ends by itself and leaves nothing behind.\n",
    .rows = rows,
    .examples = "mindstream demo\n"
                "mindstream demo --seconds 30 --rate 20000\n"
                "mindstream demo --keep\n"
                "mindstream demo --open\n",
    .exit_status = "0 vectors came out, 1 they did not, 2 bad usage",
    .arguments_bytes = sizeof(struct demo_arguments),
    .run = run_demo,
};

/* Bars on a terminal, lines elsewhere. */
#include "app/replay_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "stream/source.h"

#define PLAIN_S    10.0 /* between two lines where there is no terminal */
#define TERMINAL_S 0.2
#define RATE_S     5.0 /* over which the rate is averaged */
#define BAR        24

/* One partition of a source. */
struct lane {
    struct ms_replay_at at;
    int64_t began, before; /* next offset at the start, and at the last look */
    double rate;           /* offsets/s */
};

struct watch {
    const struct ms_replay *replay;
    struct lane *lanes; /* NULL: no memory for them, so only the sum is shown */
    size_t count;
    uint64_t total; /* offsets that were left at the start */
    uint64_t read_before;
    double started_s, looked_s, rate; /* events/s */
    bool terminal, follow, reached;
    int lines;       /* on the terminal now */
    unsigned logged; /* lines of the log when they were drawn */
};

/* ---- numbers ---- */

/* The average of the last seconds; at the beginning that of all so far. */
static double averaged(double rate, double now, double seconds, double since_start_s)
{
    double weight = seconds / (since_start_s < RATE_S ? since_start_s : RATE_S);
    return weight >= 1 ? now : rate + weight * (now - rate);
}

static void look(struct watch *watch, double now_s)
{
    double seconds = now_s - watch->looked_s, since_s = now_s - watch->started_s;
    uint64_t read = ms_replay_counted(watch->replay).read;
    if (seconds <= 0)
        return;
    watch->rate = averaged(watch->rate, (double)(read - watch->read_before) / seconds, seconds, since_s);
    for (size_t i = 0; watch->lanes && i < watch->count; i++) {
        struct lane *lane = &watch->lanes[i];
        (void)ms_replay_where(watch->replay, i, &lane->at);
        double rate = (double)(lane->at.next - lane->before) / seconds;
        lane->rate = averaged(lane->rate, rate, seconds, since_s);
        lane->before = lane->at.next;
    }
    watch->read_before = read;
    watch->looked_s = now_s;
}

static uint64_t left_of(const struct ms_replay_at *at)
{
    return at->next < at->part.to ? (uint64_t)(at->part.to - at->next) : 0;
}

static double share_of(uint64_t left, uint64_t total)
{
    return total ? 1 - (double)left / (double)total : 1;
}

/* "2:03", "1:02:03"; "-" where nothing moves. */
static const char *time_left(char text[32], uint64_t left, double rate)
{
    if (left > 0 && rate < 1e-3)
        return "-";
    uint64_t s = left ? (uint64_t)((double)left / rate + 0.5) : 0;
    if (s >= 3600)
        snprintf(text, 32, "%" PRIu64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(text, 32, "%d:%02d", (int)(s / 60), (int)(s % 60));
    return text;
}

/* ---- lines ---- */

static void put_bar(const char *name, uint64_t left, uint64_t total, double rate)
{
    char bar[BAR + 1], text[32];
    int full = (int)(share_of(left, total) * BAR);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\033[K%-14.14s [%s] %5.1f %% %9.0f/s %8s left\n", name, bar, share_of(left, total) * 100,
            rate, time_left(text, left, rate));
}

static int rows_of_terminal(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* The partitions that have most to do first: a screen has not room for all. */
static int compare_lanes(const void *a, const void *b)
{
    const struct lane *one = *(const struct lane *const *)a, *two = *(const struct lane *const *)b;
    uint64_t left = left_of(&one->at), other = left_of(&two->at);
    return left != other ? (left < other) - (left > other) : (one > two) - (one < two);
}

static int put_lanes(const struct watch *watch, int most)
{
    const struct lane **order = watch->lanes ? calloc(watch->count, sizeof *order) : NULL;
    int shown = 0;
    for (size_t i = 0; order && i < watch->count; i++)
        order[i] = &watch->lanes[i];
    if (order && watch->count > (size_t)most)
        qsort(order, watch->count, sizeof *order, compare_lanes);
    for (; order && shown < most && (size_t)shown < watch->count; shown++) {
        const struct lane *lane = order[shown];
        char name[32];
        snprintf(name, sizeof name, "%s %" PRId32, ms_sources[lane->at.part.source]->name,
                 lane->at.part.partition);
        put_bar(name, left_of(&lane->at), (uint64_t)(lane->at.part.to - lane->began), lane->rate);
    }
    free(order);
    return shown;
}

static void draw(struct watch *watch)
{
    struct ms_replay_counts counts = ms_replay_counted(watch->replay);
    int most = rows_of_terminal() - 4;
    if (watch->lines && watch->logged == ms_log_lines())
        fprintf(stderr, "\033[%dA\r", watch->lines);
    watch->logged = ms_log_lines();
    int shown = watch->count > 1 ? put_lanes(watch, most > 1 ? most : 1) : 0;
    watch->lines = shown + 2;
    put_bar("all", counts.left, watch->total, watch->rate);
    fprintf(stderr, "\033[K%" PRIu64 " records read, %" PRIu64 " bad", counts.read, counts.bad);
    if (counts.published)
        fprintf(stderr, ", %" PRIu64 " published", counts.published);
    if (watch->count > (size_t)shown && shown > 0)
        fprintf(stderr, "; %zu other partitions have less to do", watch->count - (size_t)shown);
    fputs(watch->reached ? "; follows what comes, until SIGTERM or Ctrl-C\n" : "\n", stderr);
    fflush(stderr);
}

/* The partition that will be done last. */
static const struct lane *slowest(const struct watch *watch)
{
    const struct lane *worst = NULL;
    for (size_t i = 0; watch->lanes && i < watch->count; i++) {
        if (left_of(&watch->lanes[i].at) > 0 &&
            (!worst || left_of(&watch->lanes[i].at) > left_of(&worst->at)))
            worst = &watch->lanes[i];
    }
    return worst;
}

static void tell(const struct watch *watch)
{
    struct ms_replay_counts counts = ms_replay_counted(watch->replay);
    const struct lane *worst = slowest(watch);
    char text[32];
    fprintf(stderr, "replay: %.1f %%, %" PRIu64 " records, %.0f/s", share_of(counts.left, watch->total) * 100,
            counts.read, watch->rate);
    if (counts.left)
        fprintf(stderr, ", %s left", time_left(text, counts.left, watch->rate));
    if (worst)
        fprintf(stderr, " (partition %" PRId32 ": %" PRIu64 " offsets, %s)", worst->at.part.partition,
                left_of(&worst->at), time_left(text, left_of(&worst->at), worst->rate));
    if (counts.published)
        fprintf(stderr, ", %" PRIu64 " published", counts.published);
    fputc('\n', stderr);
    fflush(stderr);
}

/* A replay that follows is told to end when it has caught up, so that is said at once. */
static void tell_reached(struct watch *watch)
{
    if (!watch->follow || watch->reached || ms_replay_counted(watch->replay).left > 0)
        return;
    watch->reached = true;
    if (!watch->terminal)
        fputs("replay: has caught up and follows what comes, until SIGTERM or Ctrl-C\n", stderr);
}

/* ---- the watch ---- */

static void begin(struct watch *watch)
{
    while (ms_replay_where(watch->replay, watch->count, &(struct ms_replay_at){.next = 0}))
        watch->count++;
    watch->lanes = calloc(watch->count + 1, sizeof *watch->lanes);
    for (size_t i = 0; watch->lanes && i < watch->count; i++) {
        (void)ms_replay_where(watch->replay, i, &watch->lanes[i].at);
        watch->lanes[i].began = watch->lanes[i].before = watch->lanes[i].at.next;
    }
    watch->total = ms_replay_counted(watch->replay).left;
    watch->started_s = watch->looked_s = ms_monotonic_s();
    watch->terminal = isatty(STDERR_FILENO) == 1;
}

void ms_replay_progress_watch(const struct ms_replay *replay, bool follow)
{
    struct watch watch = {.replay = replay, .follow = follow};
    begin(&watch);
    while (!ms_replay_done(replay)) {
        usleep(20000);
        double now_s = ms_monotonic_s();
        tell_reached(&watch);
        if (now_s - watch.looked_s < (watch.terminal ? TERMINAL_S : PLAIN_S))
            continue;
        look(&watch, now_s);
        if (watch.terminal)
            draw(&watch);
        else
            tell(&watch);
    }
    look(&watch, ms_monotonic_s());
    if (watch.terminal && watch.count > 0)
        draw(&watch);
    free(watch.lanes);
}

void ms_replay_progress_published(void *context, uint64_t users, uint64_t left)
{
    struct ms_replay_publishing *publishing = context;
    bool terminal = isatty(STDERR_FILENO) == 1;
    double now_s = ms_monotonic_s();
    char text[32];
    if (publishing->began_s == 0)
        publishing->began_s = publishing->told_s = now_s;
    if (now_s - publishing->told_s < (terminal ? TERMINAL_S : PLAIN_S) && !(terminal && left == 0))
        return;
    double seconds = now_s - publishing->began_s, rate = seconds > 0 ? (double)users / seconds : 0;
    publishing->told_s = now_s;
    if (terminal) {
        put_bar("publishing", left, users + left, rate);
        fputs(left ? "\033[1A" : "", stderr);
    } else {
        fprintf(stderr, "replay: %" PRIu64 " users published, %.0f/s, %s left\n", users, rate,
                time_left(text, left, rate));
    }
    fflush(stderr);
}

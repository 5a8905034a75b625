/* A small model, random events, and the naive user. */
#include "user/lives.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_writer.h"

static void check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void check(bool good, const char *format, ...)
{
    if (good)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

uint64_t life_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* ---- the model ---- */

static char item_ids[LIFE_ITEMS][96];
static const char *const types[] = {"click", "", "purchase", "view"};

static struct ms_bytes item_id(uint32_t item)
{
    if (!item_ids[item][0]) {
        int n = snprintf(item_ids[item], sizeof item_ids[item], "item-%u", item);
        if (item % 7 == 3) /* some ids are long */
            memset(item_ids[item] + n, 'x', 60);
    }
    return (struct ms_bytes){item_ids[item], strlen(item_ids[item])};
}

static float *random_floats(uint64_t *state, size_t count)
{
    float *values = malloc(count * sizeof *values);
    check(values != NULL, "no memory");
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)(life_random(state) >> 40) / 8388608.0 - 1.0);
    return values;
}

void life_model_open(struct life_model *life, uint64_t seed, int interests, int dim)
{
    enum { KNOWN = 40, ITEM_DIM = 6 };
    const char *items[KNOWN];
    char config[512];
    struct ms_error error;
    for (uint32_t i = 0; i < KNOWN; i++)
        items[i] = item_id(i).data;
    snprintf(
        config, sizeof config,
        "{\"format\":\"mindstream-model/1\",\"name\":\"life\",\"version\":\"%llu\",\"extractor\":\"mind\","
        "\"dim\":%d,\"interests\":%d,\"max_behaviors\":20%s}",
        (unsigned long long)seed, dim, interests,
        seed % 2 ? ",\"event_weights\":{\"purchase\":2.5,\"\":0.5}" : "");
    float *embedding = random_floats(&seed, KNOWN * ITEM_DIM),
          *map = random_floats(&seed, ITEM_DIM * (size_t)dim);
    struct writer_tensor tensors[] = {{"item_embedding", embedding, 2, {KNOWN, ITEM_DIM}, false},
                                      {"routing.bilinear", map, 2, {ITEM_DIM, dim}, false}};
    char *dir = writer_temp_dir();
    writer_model(dir, config, items, KNOWN, tensors, 2);
    check(ms_model_load(&life->model, dir, &error) == MS_OK, "%s", error.text);
    check(ms_extractor_new(&life->extractor, life->model, &error) == MS_OK, "%s", error.text);
    free(embedding);
    free(map);
    writer_remove(dir); /* at once: a test that is killed leaves nothing */
    free(dir);
}

void life_model_close(struct life_model *life)
{
    ms_extractor_destroy(life->extractor);
    ms_model_destroy(life->model);
}

void life_folder(struct ms_fold_context *fold_context, const struct life_model *life, bool incremental,
                 uint32_t behaviors_max)
{
    const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    struct ms_error error;
    check(ms_fold_context_init(fold_context, life->model, life->extractor, incremental, &decay, behaviors_max,
                               &error) == MS_OK,
          "%s", error.text);
}

/* ---- the events ---- */

void life_source_start(struct life_source *source, uint64_t seed)
{
    *source = (struct life_source){.random = seed, .now_ms = INT64_C(1700000000000)};
    source->late_percent = (uint32_t)(life_random(&source->random) % 4) * 6; /* a quarter of them in order */
    source->ahead_per_mille = life_random(&source->random) % 3 == 0 ? 4 : 0;
}

static int64_t next_time(struct life_source *source)
{
    uint64_t r = life_random(&source->random);
    uint32_t chance = (uint32_t)(r % 100);
    r >>= 16;
    if ((r >> 8) % 1000 < source->ahead_per_mille)
        return source->now_ms + 10000000 + (int64_t)(r % 100000) * 1000;
    if (chance < source->late_percent)
        return source->now_ms - (int64_t)(r % (chance % 3 == 0 ? 3000000 : 8000));
    if (chance >= 85) /* at the same time as the newest */
        return source->now_ms;
    source->now_ms += (int64_t)(r % 2000);
    return source->now_ms;
}

struct ms_event life_next(struct life_source *source)
{
    uint64_t r = life_random(&source->random);
    uint32_t recent = source->count < 32 ? source->count : 32;
    if (recent && r % 100 < 5)
        return source->recent[(r >> 8) % recent];
    const char *type = types[(r >> 8) % 16 < 12 ? 0 : (r >> 12) % 4];
    struct ms_event event = {.item = item_id((uint32_t)((r >> 20) % LIFE_ITEMS)),
                             .type = {type, strlen(type)},
                             .time_ms = next_time(source)};
    source->recent[source->count++ % 32] = event;
    return event;
}

/* ---- the naive user ---- */

void naive_free(struct naive_user *user)
{
    free(user->all);
    free(user->sums);
    *user = (struct naive_user){0};
}

void naive_forget(struct naive_user *user)
{
    naive_free(user);
}

const struct naive_behavior *naive_kept(const struct naive_user *user, uint32_t behaviors_max, size_t *count)
{
    *count = user->count < behaviors_max ? user->count : behaviors_max;
    return user->all + (user->count - *count);
}

static bool same(struct ms_bytes a, struct ms_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void fold_sums(struct naive_user *user, struct ms_fold_context *fold_context, uint32_t row,
                      int64_t time_ms, struct ms_bytes type)
{
    double mass = ms_model_event_weight(fold_context->model, type.data, type.size);
    int64_t before_ms = user->events_folded ? user->sums_time_ms : time_ms;
    user->events_folded++;
    user->sums_time_ms = time_ms > before_ms ? time_ms : before_ms;
    ms_fold_event(fold_context->extractor, &fold_context->decay, user->sums, user->events_folded, row,
                  user->sums_time_ms - before_ms, user->sums_time_ms - time_ms, mass);
}

static void start_sums(struct naive_user *user, const struct ms_fold_context *fold_context)
{
    free(user->sums);
    size_t floats = fold_context->incremental ? ms_fold_floats(fold_context->model) : 0;
    user->sums = aligned_alloc(64, ((floats + 15) / 16 + 1) * 64);
    check(user->sums != NULL, "no memory");
    memset(user->sums, 0, floats * sizeof(float));
    user->events_folded = 0;
}

static void count_slots(struct naive_user *user, const struct ms_fold_context *fold_context)
{
    const struct ms_model_config *config = ms_model_config(fold_context->model);
    size_t kept, routable = (size_t)user->events_folded;
    if (!fold_context->incremental) {
        const struct naive_behavior *b = naive_kept(user, fold_context->behaviors_max, &kept);
        routable = 0;
        for (size_t i = 0; i < kept; i++)
            routable += b[i].row != MS_NO_ITEM;
    }
    if (routable > (size_t)config->max_behaviors)
        routable = (size_t)config->max_behaviors;
    user->slots = (uint16_t)ms_interest_count(fold_context->model, routable);
    if (user->slots > user->slots_max)
        user->slots_max = user->slots;
}

bool naive_fold(struct naive_user *user, struct ms_fold_context *fold_context, const struct ms_event *event,
                uint32_t row)
{
    size_t kept;
    const struct naive_behavior *b = naive_kept(user, fold_context->behaviors_max, &kept);
    for (size_t i = 0; i < kept; i++) {
        if (b[i].time_ms == event->time_ms && same(b[i].item, event->item) && same(b[i].type, event->type))
            return false;
    }
    if (!user->sums)
        start_sums(user, fold_context);
    if (user->count == user->capacity) {
        user->capacity = user->capacity ? user->capacity * 2 : 16;
        user->all = realloc(user->all, user->capacity * sizeof *user->all);
        check(user->all != NULL, "no memory");
    }
    size_t at = user->count++;
    for (; at > 0 && user->all[at - 1].time_ms > event->time_ms; at--)
        user->all[at] = user->all[at - 1];
    user->all[at] = (struct naive_behavior){event->time_ms, user->arrivals++, row, event->item, event->type};
    if (user->version++ == 0 || event->time_ms > user->last_time_ms)
        user->last_time_ms = event->time_ms;
    if (fold_context->incremental && row != MS_NO_ITEM)
        fold_sums(user, fold_context, row, event->time_ms, event->type);
    count_slots(user, fold_context);
    return true;
}

void naive_refold(struct naive_user *user, struct ms_fold_context *fold_context, uint32_t before_max)
{
    uint32_t max = fold_context->behaviors_max < before_max ? fold_context->behaviors_max : before_max;
    size_t kept;
    const struct naive_behavior *b = naive_kept(user, max, &kept);
    if (kept)
        memmove(user->all, b, kept * sizeof *b);
    user->count = kept;
    start_sums(user, fold_context);
    for (size_t i = 0; i < kept; i++) {
        user->all[i].row = ms_model_find(fold_context->model, user->all[i].item.data, user->all[i].item.size);
        if (fold_context->incremental && user->all[i].row != MS_NO_ITEM)
            fold_sums(user, fold_context, user->all[i].row, user->all[i].time_ms, user->all[i].type);
    }
    count_slots(user, fold_context);
}

void naive_compare_counters(const struct naive_user *naive, const struct ms_user *user,
                            const struct ms_fold_context *fold_context, const char *where)
{
    size_t kept;
    naive_kept(naive, fold_context->behaviors_max, &kept);
    check(user->version == naive->version, "%s: version %llu, not %llu", where,
          (unsigned long long)user->version, (unsigned long long)naive->version);
    check(user->kept == kept, "%s: keeps %u behaviors, not %zu", where, user->kept, kept);
    if (naive->version == 0)
        return;
    check(user->last_time_ms == naive->last_time_ms, "%s: last time differs", where);
    check(user->slots == naive->slots && user->slots_max == naive->slots_max,
          "%s: slots %u of %u, not %u of %u", where, user->slots, user->slots_max, naive->slots,
          naive->slots_max);
    check(user->fold_id == fold_context->fold_id, "%s: fold id", where);
    if (fold_context->incremental) {
        check(user->events_folded == naive->events_folded, "%s: folded %llu, not %llu", where,
              (unsigned long long)user->events_folded, (unsigned long long)naive->events_folded);
        check(user->events_folded == 0 || user->sums_time_ms == naive->sums_time_ms, "%s: time of the sums",
              where);
        size_t all = ms_fold_floats(fold_context->model), have = user->floats;
        check(have >= ms_fold_context_floats(fold_context, user) && have <= all,
              "%s: %zu numbers in the sums", where, have);
        check(memcmp(ms_user_sums(user), naive->sums, have * sizeof(float)) == 0, "%s: sums differ", where);
        for (size_t i = have; i < all; i++)
            check(naive->sums[i] == 0.0f, "%s: sums left out that are not zero", where);
    }
}

void naive_compare(const struct naive_user *naive, const struct ms_user *user,
                   const struct ms_fold_context *fold_context, const char *where)
{
    size_t kept;
    const struct naive_behavior *n = naive_kept(naive, fold_context->behaviors_max, &kept);
    const struct ms_behavior *b = ms_user_behaviors(user);
    naive_compare_counters(naive, user, fold_context, where);
    check(user->complete && user->count == kept, "%s: %u behaviors in memory, not %zu", where, user->count,
          kept);
    for (size_t i = 0; i < kept; i++) {
        check(b[i].time_ms == n[i].time_ms && same(ms_behavior_item(user, &b[i]), n[i].item) &&
                  same(ms_behavior_type(user, &b[i]), n[i].type),
              "%s: behavior %zu of %zu differs: time %lld, not %lld", where, i, kept, (long long)b[i].time_ms,
              (long long)n[i].time_ms);
        check(fold_context->incremental || b[i].item == n[i].row, "%s: row of behavior %zu", where, i);
    }
}

/* The logs, the oracle and the checks. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "user/codec.h"

void world_fail(const struct world *world, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "seed %llu: ", (unsigned long long)world->seed);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

uint64_t draw(uint64_t *random, uint64_t below)
{
    return life_random(random) % below;
}

/* User number by id: ids of users 2, 5, 8 .. are longer ones of users 1, 4, 7 .. */
static uint32_t user_index(const struct world *world, unsigned number)
{
    for (int u = 0; u < world->users; u++) {
        if ((unsigned)(u % 3 == 2 ? 100 * (u - 1) : u) == number)
            return (uint32_t)u;
    }
    world_fail(world, "user %u is nobody", number);
}

/* ---- what was published ---- */

void published_clear(struct published_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].value);
    list->count = 0;
}

static struct published *published_new(struct published_list *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = realloc(list->items, list->capacity * sizeof *list->items);
        if (!list->items)
            abort();
    }
    list->items[list->count] = (struct published){.slot = -1};
    return &list->items[list->count++];
}

static char *copy(struct ms_bytes bytes)
{
    char *made = malloc(bytes.size + 1);
    if (!made)
        abort();
    if (bytes.size)
        memcpy(made, bytes.data, bytes.size);
    return made;
}

void published_add(struct world *world, struct published_list *list, const struct ms_output *output)
{
    struct published *p = published_new(list);
    p->version = output->version;
    p->null = output->value.data == NULL;
    p->value_bytes = output->value.size;
    p->value = copy(output->value);
    if (output->kind == MS_OUTPUT_DEAD_LETTER) {
        p->user = DEAD_LETTER;
        p->partition = output->input->partition;
        p->offset = output->input->offset;
        CHECK(world, output->reason && output->reason[0], "a dead letter without a reason");
        CHECK(world,
              output->key.data == output->input->key.data && output->value.data == output->input->value.data,
              "a dead letter is not the record");
        return;
    }
    char text[64], again[64];
    unsigned user;
    CHECK(world, output->key.size < sizeof text, "key of %zu bytes", output->key.size);
    memcpy(text, output->key.data, output->key.size);
    text[output->key.size] = '\0';
    bool slots = world->config.output_layout == MS_LAYOUT_INTEREST;
    int found = sscanf(text, "p%du%u#%d", &p->partition, &user, &p->slot);
    snprintf(again, sizeof again, slots ? "p%du%u#%d" : "p%du%u", p->partition, user, p->slot);
    CHECK(world, found == (slots ? 3 : 2) && strcmp(text, again) == 0, "key %s", text);
    p->user = user_index(world, user);
}

/* ---- the input ---- */

static struct ms_bytes text_of(const char *text)
{
    char *made = strdup(text);
    if (!made)
        abort();
    return (struct ms_bytes){made, strlen(made)};
}

/* Values that no decoder should take. */
static const char *const bad_values[] = {
    "",
    "{",
    "[]",
    "null",
    "{\"user_id\":\"p0u0\",\"event_type\":\"click\"}",
    "{\"user_id\":\"p0u0\",\"item_id\":\"\",\"event_type\":\"click\"}",
    "{\"user_id\":\"p0u0\",\"item_id\":\"i\",\"event_type\":\"click\",\"timestamp\":\"soon\"}"};

static void write_event(struct world *world, int partition, struct logged *record)
{
    const char *id = world->ids[partition][record->user];
    uint64_t r = life_random(&world->random);
    char value[512], user[64] = "";
    bool key_names = r % 16 == 0; /* the value does not name the user */
    if (!key_names)
        snprintf(user, sizeof user, "\"user_id\":\"%s\",", id);
    if (r % 16 < 12)
        record->input.key = text_of(id);
    else if (r % 16 < 14)
        record->input.key = text_of("somebody");
    record->input.time_ms = record->event.time_ms;
    char time[48] = "";
    if (r % 5)
        snprintf(time, sizeof time, ",\"timestamp\":%lld", (long long)record->event.time_ms);
    snprintf(value, sizeof value, "{%s\"item_id\":\"%s\",\"event_type\":\"%s\"%s}", user,
             record->event.item.data, record->event.type.data, time);
    record->input.value = text_of(value);
}

static void write_record(struct world *world, int partition, struct logged *record,
                         struct life_source *sources)
{
    uint64_t r = life_random(&world->random);
    record->user = (uint32_t)(r % 3 == 0 ? (r >> 8) % (uint64_t)world->users
                                         : (r >> 8) % (world->users < 2 ? 1 : 2));
    const char *id = world->ids[partition][record->user];
    r >>= 32;
    if (r % 100 < 6) {
        record->kind = LOGGED_FORGET;
        record->input.key = text_of(id);
        record->input.time_ms = 5;
    } else if (r % 100 < 10) {
        record->kind = LOGGED_BAD;
        record->input.key = text_of(id);
        record->input.value = text_of(bad_values[(r >> 8) % (sizeof bad_values / sizeof *bad_values)]);
        record->input.time_ms = -1;
    } else {
        record->event = life_next(&sources[record->user]);
        record->kind = LOGGED_EVENT;
        if (world->config.input_types[0] && strcmp(record->event.type.data, "click") != 0 &&
            strcmp(record->event.type.data, "purchase") != 0)
            record->kind = LOGGED_FILTERED;
        write_event(world, partition, record);
    }
}

static void write_log(struct world *world, int partition)
{
    struct part *part = &world->part[partition];
    struct life_source *sources = calloc(USERS, sizeof *sources);
    if (!sources)
        abort();
    for (int u = 0; u < world->users; u++) {
        /* some ids are the beginnings of others */
        snprintf(world->ids[partition][u], sizeof world->ids[partition][u], "p%du%d", partition,
                 u % 3 == 2 ? 100 * (u - 1) : u);
        life_source_start(&sources[u], world->seed * 977 + (uint64_t)(partition * USERS + u));
    }
    part->count = 20 + draw(&world->random, 230);
    part->low = draw(&world->random, 2) ? 0 : (int64_t)draw(&world->random, 1000);
    part->committed = -1;
    part->records = calloc(part->count, sizeof *part->records);
    if (!part->records)
        abort();
    int64_t offset = part->low;
    for (size_t i = 0; i < part->count; i++) {
        struct logged *record = &part->records[i];
        if (draw(&world->random, 8) == 0) /* transaction markers, compaction */
            offset += 1 + (int64_t)draw(&world->random, 4);
        write_record(world, partition, record, sources);
        record->input.partition = partition;
        record->input.offset = offset++;
    }
    free(sources);
}

int64_t world_end(const struct part *part)
{
    return part->seen ? part->records[part->seen - 1].input.offset + 1 : part->low;
}

/* ---- a world ---- */

void world_new(struct world *world, uint64_t seed, const struct life_model *models, size_t models_count)
{
    *world = (struct world){.seed = seed, .random = seed * 2654435761u + 1};
    uint64_t *random = &world->random;
    world->parts = 1 + (int)draw(random, PARTS);
    world->users = 1 + (int)draw(random, USERS);
    world->behaviors_max = (uint32_t[]){1, 3, 8, 40, 100}[draw(random, 5)];
    world->variants = draw(random, 2) ? 1 : VARIANTS;
    world->mixed = world->variants > 1;
    bool incremental = draw(random, 2);
    size_t model = draw(random, models_count);
    for (int v = 0; v < VARIANTS; v++) {
        world->models[v] = &models[(model + (size_t)v) % models_count]; /* no two alike */
        world->incremental[v] = draw(random, 4) ? incremental : !incremental;
    }
    world->config = (struct ms_config){
        .application_id = "app",
        .input_topic = "clicks",
        .input_user_field = "user_id",
        .input_item_field = "item_id",
        .input_time_field = "timestamp",
        .input_type_field = "event_type",
        .input_types = draw(random, 2) ? "click,purchase" : "",
        .input_id_max_bytes = 256,
        .input_start = draw(random, 4) ? MS_START_EARLIEST : MS_START_LATEST,
        .output_format = draw(random, 2) ? MS_RECORD_PROTOBUF : MS_RECORD_JSON,
        .output_layout = draw(random, 2) ? MS_LAYOUT_USER : MS_LAYOUT_INTEREST,
        .publish_mode = draw(random, 2) ? MS_PUBLISH_LATEST : MS_PUBLISH_EVERY,
        .dead_letter_topic = draw(random, 4) ? "bad" : "",
        .state_behaviors_max = world->behaviors_max,
    };
    for (int p = 0; p < world->parts; p++)
        write_log(world, p);
    world->dir = state_dir_new();
    world->store = state_open(world->dir);
    pthread_mutex_init(&world->lock, NULL);
}

void world_free(struct world *world)
{
    ms_store_close(world->store);
    state_dir_remove(world->dir);
    pthread_mutex_destroy(&world->lock);
    for (int p = 0; p < world->parts; p++) {
        for (size_t i = 0; i < world->part[p].count; i++) {
            free((void *)(uintptr_t)world->part[p].records[i].input.key.data);
            free((void *)(uintptr_t)world->part[p].records[i].input.value.data);
        }
        free(world->part[p].records);
    }
}

void folders_open(struct fold_contexts *fold_contexts, const struct world *world)
{
    struct ms_error error;
    for (int v = 0; v < world->variants; v++) {
        fold_contexts->models[v] = *world->models[v];
        CHECK(world,
              ms_extractor_new(&fold_contexts->models[v].extractor, fold_contexts->models[v].model, &error) ==
                  MS_OK,
              "%s", error.text);
        life_folder(&fold_contexts->fold_contexts[v], &fold_contexts->models[v], world->incremental[v],
                    world->behaviors_max);
    }
    CHECK(world,
          ms_encoder_new(&fold_contexts->encoder, (enum ms_record_format)world->config.output_format,
                         &error) == MS_OK,
          "%s", error.text);
}

void folders_close(struct fold_contexts *fold_contexts)
{
    for (int v = 0; v < VARIANTS; v++) {
        ms_fold_context_free(&fold_contexts->fold_contexts[v]);
        ms_extractor_destroy(fold_contexts->models[v].extractor);
    }
    ms_encoder_destroy(fold_contexts->encoder);
    *fold_contexts = (struct fold_contexts){0};
}

/* ---- the oracle ---- */

enum what { NOTHING, FOLDED, FORGOT };

static bool same(struct ms_bytes a, struct ms_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool is_duplicate(const struct oracle *oracle, uint32_t u, const struct ms_event *event)
{
    size_t kept;
    const struct naive_behavior *b = naive_kept(&oracle->users[u], oracle->world->behaviors_max, &kept);
    for (size_t i = 0; i < kept; i++) {
        if (b[i].time_ms == event->time_ms && same(b[i].item, event->item) && same(b[i].type, event->type))
            return true;
    }
    return false;
}

/* One record; *slots_before_forgetting is what a null value must cover. */
static enum what oracle_fold(struct oracle *oracle, const struct logged *record, int variant,
                             int *slots_before_forgetting)
{
    uint32_t u = record->user;
    struct naive_user *user = &oracle->users[u];
    struct ms_fold_context *fold_context = &oracle->fold_contexts->fold_contexts[variant];
    if (record->kind == LOGGED_FORGET) {
        if (user->version == 0)
            return NOTHING;
        *slots_before_forgetting = user->slots_max;
        naive_forget(user);
        return FORGOT;
    }
    if (record->kind != LOGGED_EVENT || is_duplicate(oracle, u, &record->event))
        return NOTHING;
    if (user->version > 0 && oracle->variant[u] != variant)
        naive_refold(user, fold_context, oracle->world->behaviors_max);
    oracle->variant[u] = variant;
    uint32_t row = ms_model_find(fold_context->model, record->event.item.data, record->event.item.size);
    CHECK(oracle->world, naive_fold(user, fold_context, &record->event, row), "the oracle cannot fold");
    return FOLDED;
}

static int variant_at(const struct part *part, int64_t offset)
{
    int i = part->begins_count - 1;
    while (i > 0 && part->begins[i].from > offset)
        i--;
    return part->begins[i].variant;
}

void oracle_start(struct oracle *oracle, struct world *world, struct fold_contexts *fold_contexts,
                  int partition, int64_t upto)
{
    *oracle = (struct oracle){.world = world, .fold_contexts = fold_contexts, .partition = partition};
    const struct part *part = &world->part[partition];
    oracle->at = part->origin;
    while (oracle->next < part->count && part->records[oracle->next].input.offset < part->origin)
        oracle->next++;
    oracle_replay(oracle, upto, false);
}

void oracle_free(struct oracle *oracle)
{
    for (int u = 0; u < USERS; u++)
        naive_free(&oracle->users[u]);
}

void oracle_replay(struct oracle *oracle, int64_t upto, bool owe)
{
    const struct part *part = &oracle->world->part[oracle->partition];
    for (; oracle->next < part->count && part->records[oracle->next].input.offset < upto; oracle->next++) {
        const struct logged *record = &part->records[oracle->next];
        int slots;
        enum what what = oracle_fold(oracle, record, variant_at(part, record->input.offset), &slots);
        if (what != NOTHING)
            oracle->owed[record->user] = owe && what == FOLDED;
    }
    oracle->at = upto;
}

void oracle_take_off_paid(struct oracle *oracle, uint64_t number)
{
    const struct part *part = &oracle->world->part[oracle->partition];
    for (int u = 0; u < USERS; u++)
        oracle->owed[u] = oracle->owed[u] && !(part->debt == number && part->paid[u]);
}

void world_begin(struct world *world, int partition, int64_t from)
{
    struct part *part = &world->part[partition];
    while (part->begins_count && part->begins[part->begins_count - 1].from >= from)
        part->begins_count--;
    if (part->begins_count == 0 || part->begins[part->begins_count - 1].variant != world->variant) {
        CHECK(world, part->begins_count < MAX_BEGINS, "too many begins");
        part->begins[part->begins_count++] = (struct begin){from, world->variant};
    }
}

/* ---- a transaction ---- */

/* The records of one user (or the dead letters) in a transaction, taken one after the other. */
struct cursor {
    struct oracle *oracle;
    const struct published_list *list;
    uint32_t user;
    size_t at;
};

static const struct published *peek(struct cursor *cursor)
{
    const struct published_list *list = cursor->list;
    while (cursor->at < list->count && (list->items[cursor->at].partition != cursor->oracle->partition ||
                                        list->items[cursor->at].user != cursor->user))
        cursor->at++;
    return cursor->at < list->count ? &list->items[cursor->at] : NULL;
}

static struct ms_interests interests(struct oracle *oracle, uint32_t u)
{
    static _Thread_local uint32_t rows[4096];
    const struct naive_user *user = &oracle->users[u];
    struct ms_fold_context *fold_context = &oracle->fold_contexts->fold_contexts[oracle->variant[u]];
    if (fold_context->incremental)
        return ms_fold_interests(fold_context->extractor, user->sums, user->events_folded);
    size_t kept, n = 0;
    const struct naive_behavior *b = naive_kept(user, oracle->world->behaviors_max, &kept);
    for (size_t i = 0; i < kept; i++) {
        if (b[i].row != MS_NO_ITEM)
            rows[n++] = b[i].row;
    }
    return ms_extract_full(fold_context->extractor, rows, n, NULL, 0, NULL);
}

static void take_value(struct cursor *cursor, struct ms_bytes value, int slot)
{
    const struct world *world = cursor->oracle->world;
    const char *id = world->ids[cursor->oracle->partition][cursor->user];
    const struct naive_user *user = &cursor->oracle->users[cursor->user];
    const struct published *found = peek(cursor);
    CHECK(world, found, "%s version %llu slot %d: not published", id, (unsigned long long)user->version,
          slot);
    CHECK(world, !found->null && found->slot == slot && found->version == user->version,
          "%s: version %llu slot %d null %d in the place of version %llu slot %d", id,
          (unsigned long long)found->version, found->slot, found->null, (unsigned long long)user->version,
          slot);
    CHECK(world, found->value_bytes == value.size && memcmp(found->value, value.data, value.size) == 0,
          "%s version %llu slot %d: not the bytes expected", id, (unsigned long long)user->version, slot);
    cursor->at++;
}

/* Null values for slots from |from| on; returns where they end, at most |limit|. */
static int take_nulls(struct cursor *cursor, int from, int limit)
{
    const struct published *found = peek(cursor);
    int slot = from;
    for (; slot < limit && found && found->null && found->slot == slot; slot++) {
        cursor->at++;
        found = peek(cursor);
    }
    return slot;
}

/* The user as it is now. */
static void take_record(struct cursor *cursor)
{
    struct oracle *oracle = cursor->oracle;
    struct world *world = oracle->world;
    const struct naive_user *user = &oracle->users[cursor->user];
    const char *id = world->ids[oracle->partition][cursor->user];
    const char *model =
        ms_model_config(oracle->fold_contexts->fold_contexts[oracle->variant[cursor->user]].model)->id;
    struct shown *shown = &world->part[oracle->partition].shown[cursor->user];
    struct ms_record record = {.user_id = {id, strlen(id)},
                               .version = user->version,
                               .event_time_ms = user->last_time_ms,
                               .model = {model, strlen(model)},
                               .interests = interests(oracle, cursor->user)};
    int count = record.interests.count;
    CHECK(world, count == user->slots, "%s: %d interests, not %u", id, count, user->slots);
    if (world->config.output_layout == MS_LAYOUT_USER) {
        take_value(cursor, ms_encode_user(oracle->fold_contexts->encoder, &record), -1);
        return;
    }
    for (int slot = 0; slot < count; slot++)
        take_value(cursor, ms_encode_interest(oracle->fold_contexts->encoder, &record, slot), slot);
    int must = shown->live > count ? shown->live : count;
    /* Where another model published the user, null values may go beyond what it used. */
    int end = take_nulls(cursor, count, world->mixed ? INT32_MAX : must);
    CHECK(world, end >= must, "%s version %llu: slots %d to %d stay", id, (unsigned long long)user->version,
          end, must - 1);
    shown->live = count;
    shown->ever = count > shown->ever ? count : shown->ever;
}

static void take_forgotten(struct cursor *cursor, int slots)
{
    struct world *world = cursor->oracle->world;
    const char *id = world->ids[cursor->oracle->partition][cursor->user];
    struct shown *shown = &world->part[cursor->oracle->partition].shown[cursor->user];
    if (world->config.output_layout == MS_LAYOUT_USER) {
        const struct published *found = peek(cursor);
        CHECK(world, found && found->null, "%s: forgotten without a null value", id);
        cursor->at++;
        return;
    }
    int end = take_nulls(cursor, 0, world->mixed ? INT32_MAX : slots);
    CHECK(world, end >= shown->live && (world->mixed || (end == slots && end >= shown->ever)),
          "%s: forgotten with %d null values; %d slots were shown, %d used", id, end, shown->ever, slots);
    *shown = (struct shown){0, 0};
}

/* All users' records, in the order of the events. */
static void check_records(struct oracle *oracle, int64_t upto, struct cursor *cursors)
{
    struct world *world = oracle->world;
    const struct part *part = &world->part[oracle->partition];
    bool every = world->config.publish_mode == MS_PUBLISH_EVERY, touched[USERS] = {false};
    for (; oracle->next < part->count && part->records[oracle->next].input.offset < upto; oracle->next++) {
        const struct logged *record = &part->records[oracle->next];
        int slots = 0;
        if (record->kind == LOGGED_BAD && world->config.dead_letter_topic[0]) {
            const struct published *found = peek(&cursors[DEAD_LETTER]);
            CHECK(world, found && found->offset == record->input.offset,
                  "partition %d: no dead letter for offset %lld", oracle->partition,
                  (long long)record->input.offset);
            cursors[DEAD_LETTER].at++;
        }
        enum what what = oracle_fold(oracle, record, world->variant, &slots);
        if (what == FORGOT)
            take_forgotten(&cursors[record->user], slots);
        else if (what == FOLDED && every)
            take_record(&cursors[record->user]);
        touched[record->user] |= what == FOLDED;
    }
    for (uint32_t u = 0; u < USERS && !every; u++) {
        if (touched[u] && oracle->users[u].version > 0)
            take_record(&cursors[u]);
    }
    oracle->at = upto;
}

/* The records of owed users, and of nobody else. */
static void check_debt(struct oracle *oracle, const struct ms_debt *debt, struct cursor *cursors)
{
    struct world *world = oracle->world;
    struct part *part = &world->part[oracle->partition];
    const char *last = "";
    if (part->debt != debt->number) {
        part->debt = debt->number;
        memset(part->paid, 0, sizeof part->paid);
    }
    for (uint32_t u = 0; u < USERS; u++) {
        if (!oracle->owed[u] || !peek(&cursors[u]))
            continue;
        if (oracle->variant[u] != world->variant)
            naive_refold(&oracle->users[u], &oracle->fold_contexts->fold_contexts[world->variant],
                         world->behaviors_max);
        oracle->variant[u] = world->variant;
        take_record(&cursors[u]);
        oracle->owed[u] = false;
        part->paid[u] = true;
        if (strcmp(world->ids[oracle->partition][u], last) > 0)
            last = world->ids[oracle->partition][u];
    }
    for (uint32_t u = 0; u < USERS; u++)
        CHECK(world,
              !oracle->owed[u] ||
                  (ms_debt_is_open(debt) && strcmp(world->ids[oracle->partition][u], last) > 0),
              "%s: passed over by its debt, version %llu", world->ids[oracle->partition][u],
              (unsigned long long)oracle->users[u].version);
}

void oracle_check(struct oracle *oracle, int64_t upto, const struct ms_debt *debt,
                  const struct published_list *list)
{
    struct world *world = oracle->world;
    struct cursor cursors[USERS + 1];
    CHECK(world, upto >= oracle->at, "partition %d: offset %lld sent, below %lld", oracle->partition,
          (long long)upto, (long long)oracle->at);
    for (uint32_t u = 0; u <= USERS; u++)
        cursors[u] = (struct cursor){.oracle = oracle, .list = list, .user = u};
    bool owes = ms_debt_is_open(debt);
    for (uint32_t u = 0; u < USERS; u++)
        owes |= oracle->owed[u];
    CHECK(world, !owes || upto == oracle->at, "partition %d: offset %lld sent, past a debt",
          oracle->partition, (long long)upto);
    if (owes)
        check_debt(oracle, debt, cursors);
    else
        check_records(oracle, upto, cursors);
    for (uint32_t u = 0; u <= USERS; u++) {
        const struct published *more = peek(&cursors[u]);
        CHECK(world, !more, "partition %d user %u: version %llu slot %d null %d offset %lld is too much",
              oracle->partition, u, more ? (unsigned long long)more->version : 0, more ? more->slot : 0,
              more ? more->null : 0, more ? (long long)more->offset : 0);
    }
}

/* ---- the state on disk ---- */

struct reading {
    struct world *world;
    struct fold_contexts *fold_contexts;
    struct oracle oracle;
    int partition;
    int64_t applied;
    int users;
};

static void read_chunks(struct reading *reading, struct ms_user **user)
{
    uint32_t count = (*user)->sealed - (*user)->first_chunk;
    struct ms_store_values values = {0};
    struct ms_buffer *keys = calloc(count + 1, sizeof *keys);
    struct ms_bytes *bytes = calloc(count + 1, sizeof *bytes);
    struct ms_error error;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(reading->world,
              ms_key_chunk(&keys[i], (*user)->partition, ms_user_id(*user), (*user)->first_chunk + i),
              "no memory");
        bytes[i] = (struct ms_bytes){keys[i].data, keys[i].size};
    }
    CHECK(reading->world, ms_store_get(reading->world->store, bytes, count, &values, &error) == MS_OK, "%s",
          error.text);
    CHECK(reading->world, ms_user_decode_chunks(user, values.values, count, &error) == MS_OK, "%s",
          error.text);
    ms_store_values_free(&values);
    for (uint32_t i = 0; i < count; i++)
        ms_buffer_free(&keys[i]);
    free(keys);
    free(bytes);
}

static enum ms_status read_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                                struct ms_error *error)
{
    struct reading *reading = context;
    struct world *world = reading->world;
    char text[24], where[64];
    unsigned number;
    struct ms_user *user;
    if (partition != reading->partition)
        return MS_OK;
    snprintf(text, sizeof text, "%.*s", (int)id.size, id.data);
    CHECK(world, sscanf(text, "p%*du%u", &number) == 1, "a row of %s", text);
    uint32_t u = user_index(world, number);
    snprintf(where, sizeof where, "seed %llu, state of %s at %lld", (unsigned long long)world->seed, text,
             (long long)reading->applied);
    CHECK(world, ms_user_decode_head(&user, partition, id, value, error) == MS_OK, "%s", error->text);
    if (!user->complete)
        read_chunks(reading, &user);
    const struct naive_user *naive = &reading->oracle.users[u];
    struct ms_fold_context *fold_context = &reading->fold_contexts->fold_contexts[reading->oracle.variant[u]];
    CHECK(world, naive->version > 0, "%s: there is a row", where);
    CHECK(world, user->own_offset <= reading->applied, "%s: its own offset is %lld", where,
          (long long)user->own_offset);
    if (user->sums_left_out)
        CHECK(world, ms_refold(fold_context, &user), "%s: no memory", where);
    ms_user_resolve(user, fold_context->model);
    if (world->mixed && user->slots_max > naive->slots_max) {
        CHECK(world, user->slots_max <= 8, "%s: slots_max %u", where, user->slots_max);
        user->slots_max = naive->slots_max; /* what another model showed may be counted generously */
    }
    naive_compare(naive, user, fold_context, where);
    free(user);
    reading->users++;
    return MS_OK;
}

bool part_origin_fits(const struct part *part, int64_t origin)
{
    for (size_t i = 0; i < part->count; i++) {
        int64_t offset = part->records[i].input.offset;
        if (offset >= part->origin && offset < origin)
            return false;
    }
    return origin >= part->origin;
}

int64_t world_check_state(struct world *world, struct fold_contexts *fold_contexts, int partition)
{
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    CHECK(world, ms_store_partition(world->store, (uint16_t)partition, &row, &found, &error) == MS_OK, "%s",
          error.text);
    if (!found)
        return -1;
    struct reading reading = {.world = world,
                              .fold_contexts = fold_contexts,
                              .partition = partition,
                              .applied = row.sources[0].applied};
    struct ms_store_visitor visitor = {.context = &reading, .on_user = read_user};
    CHECK(world, part_origin_fits(&world->part[partition], row.sources[0].origin), "origin %lld, not %lld",
          (long long)row.sources[0].origin, (long long)world->part[partition].origin);
    oracle_start(&reading.oracle, world, fold_contexts, partition, row.sources[0].applied);
    CHECK(world, ms_store_walk(world->store, &visitor, &error) == MS_OK, "%s", error.text);
    int users = 0;
    for (int u = 0; u < world->users; u++)
        users += reading.oracle.users[u].version > 0;
    CHECK(world, users == reading.users, "partition %d at %lld: %d users on disk, not %d", partition,
          (long long)row.sources[0].applied, reading.users, users);
    oracle_free(&reading.oracle);
    return row.sources[0].applied;
}

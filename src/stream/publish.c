/* The lists of users to publish, and the records of a user. */
#include "stream/publish.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mindstream/record.h"
#include "stream/dead_letter.h"
#include "stream/source.h"
#include "stream/spread.h"

#define SHOWN_BYTES 100 /* of an id in a log line */

/* A user that waits for its record. It is held in the overlay. */
struct waiting {
    struct ms_position *position; /* whose record changed it first */
    uint32_t place;
    uint16_t slots_shown; /* before that change */
    double due_s;         /* while it is withheld: when it is to be published */
};

struct waiting_list {
    struct waiting *items;
    size_t count, capacity;
};

struct ms_publisher {
    struct ms_publisher_options options;
    struct ms_encoder *encoder;
    struct waiting_list touched;  /* for the commit */
    struct waiting_list withheld; /* for a later one */
    double due_s;                 /* the first of these */
    struct ms_emitted emitted;
    struct ms_log_limit bad_limit, overflow_limit;
};

enum ms_status ms_publisher_new(struct ms_publisher **out, const struct ms_publisher_options *options,
                                struct ms_error *error)
{
    struct ms_publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    publisher->options = *options;
    publisher->due_s = INFINITY;
    enum ms_status status = ms_encoder_new(&publisher->encoder,
                                           (enum ms_record_format)options->config->output_format, error);
    if (status != MS_OK) {
        free(publisher);
        return status;
    }
    *out = publisher;
    return MS_OK;
}

struct ms_emitted ms_publisher_emitted(const struct ms_publisher *publisher)
{
    return publisher->emitted;
}

void ms_publisher_destroy(struct ms_publisher *publisher)
{
    if (!publisher)
        return;
    ms_encoder_destroy(publisher->encoder);
    free(publisher->touched.items);
    free(publisher->withheld.items);
    free(publisher);
}

/* ---- records ---- */

static int shown(struct ms_bytes bytes)
{
    return bytes.size < SHOWN_BYTES ? (int)bytes.size : SHOWN_BYTES;
}

static enum ms_status emit(struct ms_publisher *publisher, struct ms_position *position,
                           const struct ms_output *output, struct ms_error *error)
{
    position->must_send = true;
    publisher->emitted.records++;
    publisher->emitted.bytes += output->key.size + output->value.size;
    if (output->kind == MS_OUTPUT_RECORD)
        ms_count(&publisher->options.stats->records, 1);
    return publisher->options.sink.emit(publisher->options.sink.context, output, error);
}

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for a record");
}

/* A null value under the user's key, or under that of one of its slots. */
static enum ms_status emit_null(struct ms_publisher *publisher, struct ms_position *position,
                                const struct ms_user *user, int slot, struct ms_error *error)
{
    struct ms_bytes id = ms_user_id(user);
    struct ms_output output = {.kind = MS_OUTPUT_RECORD, .version = user->version};
    output.key = slot < 0 ? id : ms_encode_interest_key(publisher->encoder, id, slot);
    return output.key.data ? emit(publisher, position, &output, error) : no_memory(error);
}

/* Null values under every key that the user ever had. */
static enum ms_status emit_nulls(struct ms_publisher *publisher, struct ms_position *position,
                                 const struct ms_user *user, struct ms_error *error)
{
    if (publisher->options.config->output_layout == MS_LAYOUT_USER)
        return emit_null(publisher, position, user, -1, error);
    enum ms_status status = MS_OK;
    for (int slot = 0; slot < user->slots_max && status == MS_OK; slot++)
        status = emit_null(publisher, position, user, slot, error);
    return status;
}

static enum ms_status publish_user(struct ms_publisher *publisher, struct ms_position *position,
                                   const struct ms_record *record, struct ms_error *error)
{
    struct ms_output output = {.kind = MS_OUTPUT_RECORD, .key = record->user_id, .version = record->version};
    output.value = ms_encode_user(publisher->encoder, record);
    return output.value.data ? emit(publisher, position, &output, error) : no_memory(error);
}

static enum ms_status publish_interests(struct ms_publisher *publisher, struct ms_position *position,
                                        const struct ms_record *record, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 0; i < record->interests.count && status == MS_OK; i++) {
        struct ms_output output = {.kind = MS_OUTPUT_RECORD, .version = record->version};
        output.value = ms_encode_interest(publisher->encoder, record, i);
        output.key = ms_encode_interest_key(publisher->encoder, record->user_id, i);
        if (!output.value.data || !output.key.data)
            return no_memory(error);
        status = emit(publisher, position, &output, error);
    }
    return status;
}

/* The user's vectors have left float32, so its record has no interests. Its newest item may be the reason. */
static void tell_overflow(struct ms_publisher *publisher, const struct ms_user *user)
{
    unsigned long long held_back;
    struct ms_bytes id = ms_user_id(user), item = {"", 0};
    ms_count(&publisher->options.stats->overflows, 1);
    if (!ms_log_allow(&publisher->overflow_limit, &held_back))
        return;
    if (user->count)
        item = ms_behavior_item(user, &ms_user_behaviors(user)[user->count - 1]);
    ms_log(
        MS_LOG_WARN, "overflow",
        "user=\"%.*s\" partition=%d version=%llu newest_item=\"%.*s\" not_shown=%llu text=\"its vectors overflow "
        "float32, so it is published without interests; `mindstream model check` names the tensor\"",
        shown(id), id.data, user->partition, (unsigned long long)user->version, shown(item), item.data,
        held_back);
}

/* The user's record, or its records in layout interest with null values for slots that it no longer has. */
static enum ms_status publish(struct ms_publisher *publisher, struct ms_position *position,
                              const struct ms_user *user, uint16_t slots_shown, struct ms_error *error)
{
    const char *model = ms_model_config(publisher->options.model)->id;
    struct ms_record record = {.user_id = ms_user_id(user),
                               .version = user->version,
                               .event_time_ms = user->last_time_ms,
                               .model = {model, strlen(model)},
                               .interests = ms_user_interests(publisher->options.fold_context, user)};
    if (record.interests.count == 0 && ms_extractor_overflowed(publisher->options.fold_context->extractor))
        tell_overflow(publisher, user);
    ms_spread_note(publisher->options.stats, &record.interests, publisher->emitted.records);
    if (publisher->options.config->output_layout == MS_LAYOUT_USER)
        return publish_user(publisher, position, &record, error);
    enum ms_status status = publish_interests(publisher, position, &record, error);
    for (int slot = record.interests.count; slot < slots_shown && status == MS_OK; slot++)
        status = emit_null(publisher, position, user, slot, error);
    return status;
}

/* ---- users that wait ---- */

static bool list_push(struct waiting_list *list, const struct waiting *item)
{
    if (list->count == list->capacity) {
        size_t next = list->capacity ? list->capacity * 2 : 1024;
        struct waiting *bigger = realloc(list->items, next * sizeof *bigger);
        if (!bigger)
            return false;
        list->items = bigger;
        list->capacity = next;
    }
    list->items[list->count++] = *item;
    return true;
}

/* Adds a user that is in no list yet. */
static enum ms_status wait_in(struct waiting_list *list, struct ms_entry *entry, const struct waiting *item,
                              struct ms_error *error)
{
    if (!list_push(list, item))
        return ms_fail(error, MS_MEMORY, "no memory for the users to publish");
    entry->marks |= MS_MARK_HELD;
    return MS_OK;
}

/* Takes a user out of its list. */
static struct ms_entry *let_go(struct ms_publisher *publisher, const struct waiting *item)
{
    struct ms_entry *entry = ms_overlay_entry(publisher->options.overlay, item->place);
    entry->marks &= (uint16_t)~MS_MARK_HELD;
    return entry;
}

/* The entry of a list that holds the user. */
static struct waiting *find_waiting(struct ms_publisher *publisher, uint32_t place)
{
    struct waiting_list *lists[] = {&publisher->touched, &publisher->withheld};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (size_t k = lists[i]->count; k > 0; k--) {
            if (lists[i]->items[k - 1].place == place)
                return &lists[i]->items[k - 1];
        }
    }
    assert(!"a user that is held is in a list");
    return NULL;
}

/* Publishes a user now, or notes it for the commit: once, however often it changes. */
static enum ms_status publish_or_touch(struct ms_publisher *publisher, struct ms_entry *entry,
                                       const struct waiting *item, struct ms_error *error)
{
    if (publisher->options.config->publish_mode == MS_PUBLISH_EVERY)
        return publish(publisher, item->position, entry->user, item->slots_shown, error);
    if (entry->marks & MS_MARK_HELD)
        return MS_OK;
    item->position->must_send = true;
    return wait_in(&publisher->touched, entry, item, error);
}

/* A user has changed in silence. Where it belongs to a debt, what was published of it came from another fold,
 * which showed at most position->shown_slots of it. */
static void owe(struct ms_user *user, const struct ms_position *position)
{
    user->owed = position->owes;
    if (position->owes && user->slots_max < position->shown_slots)
        user->slots_max = (uint16_t)position->shown_slots;
}

enum ms_status ms_publisher_changed(struct ms_publisher *publisher, struct ms_position *position,
                                    uint32_t place, uint16_t slots_shown, bool silent, struct ms_error *error)
{
    const struct waiting item = {.position = position, .place = place, .slots_shown = slots_shown};
    struct ms_entry *entry = ms_overlay_entry(publisher->options.overlay, place);
    entry->marks &= (uint16_t)~MS_MARK_REFOLDED;
    if (silent) {
        owe(entry->user, position);
        return MS_OK;
    }
    entry->user->owed = 0;
    return publish_or_touch(publisher, entry, &item, error);
}

enum ms_status ms_publisher_forget(struct ms_publisher *publisher, struct ms_position *position,
                                   uint32_t place, bool silent, struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(publisher->options.overlay, place);
    const struct ms_user *user = entry->user;
    entry->marks &= (uint16_t)~MS_MARK_REFOLDED;
    if (silent || user->version == 0)
        return MS_OK;
    if (entry->marks &
        MS_MARK_HELD) { /* it waits, and is shown nothing from here on; its row goes with the next flush */
        struct waiting *item = find_waiting(publisher, place);
        item->slots_shown = 0;
        item->due_s = 0;
        publisher->due_s = 0;
    }
    return emit_nulls(publisher, position, user, error);
}

enum ms_status ms_publisher_dead_letter(struct ms_publisher *publisher, struct ms_position *position,
                                        const char *topic, const struct ms_input *input, const char *reason,
                                        struct ms_error *error)
{
    unsigned long long held_back;
    ms_count(&publisher->options.stats->dead_letters, 1);
    ms_count(&publisher->options.stats->bad[ms_bad_kind(reason)], 1);
    if (ms_log_allow(&publisher->bad_limit, &held_back))
        ms_log(MS_LOG_WARN, "bad_event", "topic=%s partition=%d offset=%lld error=\"%s\" not_shown=%llu",
               topic, input->partition, (long long)input->offset, reason, held_back);
    if (!publisher->options.config->dead_letter_topic[0])
        return MS_OK;
    const struct ms_output output = {.kind = MS_OUTPUT_DEAD_LETTER,
                                     .key = input->key,
                                     .value = input->value,
                                     .input = input,
                                     .reason = reason};
    return emit(publisher, position, &output, error);
}

/* ---- the moments at which they are published ---- */

void ms_publisher_owe(struct ms_publisher *publisher, const struct ms_position *position, uint32_t place)
{
    struct ms_user *user = ms_overlay_entry(publisher->options.overlay, place)->user;
    if (position->owes && user->owed != position->owes) {
        owe(user, position);
        ms_overlay_touch(publisher->options.overlay, place);
    }
}

/* It has no events as they are read now: a reader must not see it any more. Nothing is owed then, so that its row
 * goes. */
static enum ms_status publish_gone(struct ms_publisher *publisher, struct ms_position *position,
                                   uint32_t place, struct ms_error *error)
{
    struct ms_user *user = ms_overlay_entry(publisher->options.overlay, place)->user;
    enum ms_status status = emit_nulls(publisher, position, user, error);
    user->owed = 0;
    user->slots_max = 0;
    ms_overlay_touch(publisher->options.overlay, place);
    return status;
}

enum ms_status ms_publisher_owed(struct ms_publisher *publisher, struct ms_position *position, uint32_t place,
                                 struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(publisher->options.overlay, place);
    entry->marks &= (uint16_t)~MS_MARK_REFOLDED;
    return entry->user->version > 0 ? publish(publisher, position, entry->user, entry->user->slots_max, error)
                                    : publish_gone(publisher, position, place, error);
}

/* ---- users that are withheld ---- */

/* A user's time of publishing, in a clock that begins anew after 49 days; never 0. */
static uint32_t clock_ms(double now_s)
{
    uint32_t ms = (uint32_t)(uint64_t)(now_s * 1000);
    return ms ? ms : 1;
}

/* When the rate allows to publish the user again, at most one interval from |now_s|. */
static double allowed_s(const struct ms_publisher *publisher, const struct ms_entry *entry, double now_s)
{
    int64_t rate = publisher->options.config->user_max_publish_rate;
    if (rate == 0 || entry->published_ms == 0 || isinf(now_s))
        return now_s;
    double since_s = (double)(uint32_t)(clock_ms(now_s) - entry->published_ms) / 1000,
           interval_s = 1.0 / (double)rate;
    return since_s < interval_s ? now_s + interval_s - since_s : now_s;
}

static struct ms_partition *partition_of(const struct ms_publisher *publisher, const struct waiting *item)
{
    struct ms_partition *partition = ms_positions_partition(publisher->options.positions,
                                                            item->position->partition);
    assert(partition); /* its position is open */
    return partition;
}

/* The clicks' note changes: it goes along with the next commit. */
static void send_note(struct ms_partition *partition)
{
    partition->positions[MS_SOURCE_CLICKS].must_send = true;
}

/* Puts a user off until |due_s|. *put_off is false where its partition's note has no room. */
static enum ms_status withhold(struct ms_publisher *publisher, const struct waiting *item,
                               struct ms_entry *entry, double due_s, bool *put_off, struct ms_error *error)
{
    struct ms_partition *partition = partition_of(publisher, item);
    size_t bytes = ms_withheld_bytes(ms_user_id(entry->user));
    struct waiting later = *item;
    *put_off = partition->open & 1u << MS_SOURCE_CLICKS &&
               strlen(partition->withheld) + partition->withheld_bytes + bytes < MS_WITHHELD_BYTES;
    if (!*put_off)
        return MS_OK;
    later.due_s = due_s;
    enum ms_status status = wait_in(&publisher->withheld, entry, &later, error);
    if (status != MS_OK)
        return status;
    partition->withheld_bytes += bytes;
    send_note(partition);
    publisher->due_s = fmin(publisher->due_s, due_s);
    ms_count(&publisher->options.stats->withheld, 1);
    return MS_OK;
}

static enum ms_status publish_waiting(struct ms_publisher *publisher, const struct waiting *item,
                                      struct ms_entry *entry, double now_s, struct ms_error *error)
{
    if (publisher->options.config->user_max_publish_rate > 0 && !isinf(now_s))
        entry->published_ms = clock_ms(now_s);
    return entry->user->version > 0
               ? publish(publisher, item->position, entry->user, item->slots_shown, error)
               : MS_OK;
}

/* Publishes those whose time has come; all, where there is no rate any more. */
static enum ms_status publish_withheld(struct ms_publisher *publisher, double now_s, struct ms_error *error)
{
    struct waiting_list *list = &publisher->withheld;
    enum ms_status status = MS_OK;
    bool all = publisher->options.config->user_max_publish_rate == 0;
    size_t kept = 0;
    publisher->due_s = INFINITY;
    for (size_t i = 0; i < list->count; i++) {
        const struct waiting item = list->items[i];
        if (status != MS_OK || (!all && item.due_s > now_s)) {
            publisher->due_s = fmin(publisher->due_s, item.due_s);
            list->items[kept++] = item;
            continue;
        }
        struct ms_entry *entry = let_go(publisher, &item);
        struct ms_partition *partition = partition_of(publisher, &item);
        partition->withheld_bytes -= ms_withheld_bytes(ms_user_id(entry->user));
        send_note(partition);
        status = publish_waiting(publisher, &item, entry, now_s, error);
    }
    list->count = kept;
    return status;
}

double ms_publisher_due_s(const struct ms_publisher *publisher)
{
    return publisher->due_s;
}

enum ms_status ms_publisher_withheld(struct ms_publisher *publisher, struct ms_partition *partition,
                                     uint32_t place, struct ms_error *error)
{
    struct ms_position *clicks = &partition->positions[MS_SOURCE_CLICKS];
    struct ms_entry *entry = ms_overlay_entry(publisher->options.overlay, place);
    const struct ms_user *user = entry->user;
    const struct waiting item = {.position = clicks, .place = place, .slots_shown = user->slots_max};
    send_note(partition);
    if (entry->marks & MS_MARK_HELD) { /* an event has come since: what was shown is older */
        find_waiting(publisher, place)->slots_shown = user->slots_max;
        return MS_OK;
    }
    bool paid = user->owed && user->owed == partition->debt.number;
    if (paid || user->version == 0 || user->own_offset > clicks->replay_until)
        return MS_OK;
    entry->marks &= (uint16_t)~MS_MARK_REFOLDED;
    return wait_in(&publisher->touched, entry, &item, error);
}

void ms_publisher_note(const struct ms_publisher *publisher, int32_t partition, char text[MS_WITHHELD_BYTES])
{
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < publisher->withheld.count; i++) {
        const struct waiting *item = &publisher->withheld.items[i];
        if (item->position->partition == partition)
            size += ms_withheld_write(
                text + size, ms_user_id(ms_overlay_entry(publisher->options.overlay, item->place)->user));
    }
}

enum ms_status ms_publisher_commit(struct ms_publisher *publisher, double now_s, struct ms_error *error)
{
    enum ms_status status = publisher->withheld.count ? publish_withheld(publisher, now_s, error) : MS_OK;
    for (size_t i = 0; i < publisher->touched.count && status == MS_OK; i++) {
        const struct waiting *item = &publisher->touched.items[i];
        struct ms_entry *entry = let_go(publisher, item);
        double due_s = allowed_s(publisher, entry, now_s);
        bool put_off = false;
        if (due_s > now_s && entry->user->version > 0)
            status = withhold(publisher, item, entry, due_s, &put_off, error);
        if (status == MS_OK && !put_off)
            status = publish_waiting(publisher, item, entry, now_s, error);
    }
    publisher->touched.count = 0;
    return status;
}

static void list_drop(struct waiting_list *list, int32_t partition)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].position->partition != partition)
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

void ms_publisher_drop(struct ms_publisher *publisher, int32_t partition)
{
    list_drop(&publisher->touched, partition);
    list_drop(&publisher->withheld, partition);
}

void ms_publisher_drop_all(struct ms_publisher *publisher)
{
    publisher->touched.count = publisher->withheld.count = 0;
    publisher->due_s = INFINITY;
}

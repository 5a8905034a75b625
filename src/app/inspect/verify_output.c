/* The last record of each user of a pass, in memory, and a user against its record. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/verify.h"
#include "base/array.h"
#include "base/index.h"
#include "mindstream/record.h"
#include "stream/kafka/group_offsets.h"
#include "stream/kafka/topic_reader.h"
#include "stream/source.h"

#define BATCH   500
#define WAIT_MS 200

static const char output[] = "output topic";

/* What was read last under the keys of a user: one record, or in layout interest one for each slot. Behind it: the version and
 * the event time of each record, vectors [K][dim] and weights [K] of the present model's shape, and the id. */
struct entry {
    uint64_t hash;
    uint32_t id_bytes;
    uint32_t people;    /* users of the state with this id */
    int32_t partition;  /* of the output topic, in layout user */
    int count;          /* interests of the record, in layout user */
    int64_t time_ms;    /* of the record that came last */
    bool seen, visited; /* a record was read; a user of the state was compared */
    bool null_before;   /* there was a null value, so the user may have begun anew */
    /* Records as bits, by slot: */
    uint64_t surplus; /* of slots that the present model does not have */
    uint64_t other_model, other_shape, unreadable;
};

struct ms_published {
    struct ms_verify *verify;
    struct ms_topic_reader *reader;
    struct ms_input records[BATCH];
    struct entry **entries;
    size_t count, capacity;
    struct ms_index index;
    size_t bytes, bytes_most;
    size_t dim, slots;      /* of the model */
    size_t records_of_user; /* 1, in layout interest |slots| */
    size_t floats;          /* of an entry */
    bool by_interest;
    bool removes; /* records go although no later one has their key */
    bool whole;   /* the state has all partitions of the input topic, and is behind in none */
    struct ms_group_offset *offsets; /* of both sources */
};

/* Versions, 0: no record, or a null value. */
static uint64_t *versions_of(struct entry *entry)
{
    return (uint64_t *)(void *)(entry + 1);
}

static int64_t *times_of(const struct ms_published *published, struct entry *entry)
{
    return (int64_t *)(versions_of(entry) + published->records_of_user);
}

static float *vectors_of(const struct ms_published *published, struct entry *entry)
{
    return (float *)(void *)(times_of(published, entry) + published->records_of_user);
}

static struct ms_bytes id_of(const struct ms_published *published, struct entry *entry)
{
    return (struct ms_bytes){(char *)(vectors_of(published, entry) + published->floats), entry->id_bytes};
}

/* The newest version that a record has, 0: none has any. */
static uint64_t newest(const struct ms_published *published, struct entry *entry, size_t *slot)
{
    const uint64_t *versions = versions_of(entry);
    uint64_t most = 0;
    for (size_t i = 0; i < published->records_of_user; i++) {
        if (versions[i] > most) {
            most = versions[i];
            *slot = i;
        }
    }
    return most;
}

/* ---- the entries ---- */

enum ms_status ms_published_new(struct ms_published **out, struct ms_verify *verify, struct ms_error *error)
{
    struct ms_published *published = calloc(1, sizeof *published);
    const struct ms_model_config *model = ms_model_config(verify->model);
    if (!published)
        return ms_fail(error, MS_MEMORY, "no memory for records");
    published->verify = verify;
    published->dim = (size_t)model->dim;
    published->slots = (size_t)model->interests;
    published->floats = published->slots * (published->dim + 1);
    published->by_interest = verify->config->output_layout == MS_LAYOUT_INTEREST;
    published->records_of_user = published->by_interest ? published->slots : 1;
    published->bytes_most = (size_t)verify->arguments->memory << 20;
    published->offsets = calloc(MS_SOURCES * MS_MAX_PARTITIONS, sizeof *published->offsets);
    if (!published->offsets || !ms_index_init(&published->index, 1024)) {
        ms_published_destroy(published);
        return ms_fail(error, MS_MEMORY, "no memory for records");
    }
    *out = published;
    return MS_OK;
}

static void drop_entries(struct ms_published *published)
{
    for (size_t i = 0; i < published->count; i++)
        free(published->entries[i]);
    published->count = published->bytes = 0;
    ms_index_free(&published->index);
}

void ms_published_destroy(struct ms_published *published)
{
    if (!published)
        return;
    ms_topic_reader_close(published->reader);
    drop_entries(published);
    free(published->entries);
    free(published->offsets);
    free(published);
}

static size_t entry_bytes(const struct ms_published *published, size_t id_bytes)
{
    return sizeof(struct entry) + 2 * published->records_of_user * sizeof(uint64_t) +
           published->floats * sizeof(float) + id_bytes;
}

uint64_t ms_published_passes(const struct ms_published *published, uint64_t users)
{
    return 1 + users * (entry_bytes(published, 16) + 32) / published->bytes_most;
}

static uint64_t hash_of(void *context, uint32_t value)
{
    const struct ms_published *published = context;
    return published->entries[value]->hash;
}

static struct entry *find(struct ms_published *published, struct ms_bytes id, uint64_t hash)
{
    uint32_t cursor = ms_index_start(&published->index, hash), value;
    while (ms_index_next(&published->index, hash, &cursor, &value)) {
        struct ms_bytes own = id_of(published, published->entries[value]);
        if (own.size == id.size && memcmp(own.data, id.data, id.size) == 0)
            return published->entries[value];
    }
    return NULL;
}

static struct entry *find_or_add(struct ms_published *published, struct ms_bytes id)
{
    uint64_t hash = ms_verify_hash(id);
    struct entry *entry = find(published, id, hash);
    if (entry)
        return entry;
    size_t bytes = entry_bytes(published, id.size);
    if (!ms_array_reserve(&published->entries, &published->capacity, published->count + 1,
                          sizeof *published->entries) ||
        !(entry = calloc(1, bytes)))
        return NULL;
    entry->hash = hash;
    entry->id_bytes = (uint32_t)id.size;
    memcpy((char *)(vectors_of(published, entry) + published->floats), id.data, id.size);
    published->entries[published->count] = entry;
    if (!ms_index_add(&published->index, hash, (uint32_t)published->count, hash_of, published)) {
        free(entry);
        return NULL;
    }
    published->count++;
    published->bytes += bytes + 32;
    return entry;
}

/* ---- records ---- */

/* Whose record it is; of layout interest also of which slot. False where the key is no such key. */
static bool read_key(const struct ms_published *published, struct ms_bytes key, struct ms_bytes *id,
                     int *slot)
{
    size_t at = key.size;
    *id = key;
    *slot = 0;
    if (!published->by_interest)
        return key.data != NULL;
    while (at > 0 && key.data[at - 1] >= '0' && key.data[at - 1] <= '9')
        at--;
    if (at == 0 || at == key.size || key.size - at > 2 || key.data[at - 1] != '#')
        return false;
    for (size_t i = at; i < key.size; i++)
        *slot = 10 * *slot + (key.data[i] - '0');
    id->size = at - 1;
    return *slot < MS_MAX_INTERESTS;
}

/* A record of the slot replaces what was there. False where the present model has no such slot. */
static bool clear_slot(const struct ms_published *published, struct entry *entry, int slot)
{
    uint64_t bit = UINT64_C(1) << slot;
    entry->surplus &= ~bit;
    entry->other_model &= ~bit;
    entry->other_shape &= ~bit;
    entry->unreadable &= ~bit;
    if ((size_t)slot >= published->records_of_user)
        return false;
    versions_of(entry)[slot] = 0;
    return true;
}

static void take_interest(const struct ms_published *published, struct entry *entry, size_t slot,
                          const struct ms_interests *from, int index)
{
    float *vectors = vectors_of(published, entry);
    if (slot >= published->slots || (size_t)from->dim != published->dim)
        return;
    memcpy(vectors + slot * published->dim, from->vectors + (size_t)index * published->dim,
           published->dim * sizeof(float));
    vectors[published->slots * published->dim + slot] = from->weights[index];
}

static void take_record(const struct ms_published *published, struct entry *entry,
                        const struct ms_record *record, int slot)
{
    const char *model = ms_model_config(published->verify->model)->id;
    uint64_t bit = UINT64_C(1) << slot;
    const struct ms_interests *interests = &record->interests;
    versions_of(entry)[slot] = record->version;
    times_of(published, entry)[slot] = record->event_time_ms;
    entry->count = interests->count;
    if (record->model.size != strlen(model) || memcmp(record->model.data, model, record->model.size) != 0)
        entry->other_model |= bit;
    if (interests->count &&
        ((size_t)interests->dim != published->dim || (size_t)interests->count > published->slots))
        entry->other_shape |= bit;
    for (int i = 0; i < interests->count; i++)
        take_interest(published, entry, (size_t)(published->by_interest ? slot : i), interests, i);
}

static enum ms_status decode(const struct ms_published *published, struct entry *entry,
                             const struct ms_input *input, int slot, struct ms_error *error)
{
    enum ms_record_format format = (enum ms_record_format)published->verify->config->output_format;
    struct ms_decoded *decoded = NULL;
    struct ms_error why;
    int found = slot;
    bool fits = clear_slot(published, entry, slot), good = false;
    enum ms_status status = published->by_interest
                                ? ms_decode_interest(&decoded, format, input->value, &found, &why)
                                : ms_decode_user(&decoded, format, input->value, &why);
    if (status == MS_MEMORY)
        return ms_fail(error, MS_MEMORY, "%s", why.text);
    if (status == MS_OK) {
        struct ms_bytes id = ms_decoded_record(decoded)->user_id, own = id_of(published, entry);
        good = found == slot && id.size == own.size && memcmp(id.data, own.data, id.size) == 0;
    }
    if (!good)
        entry->unreadable |= UINT64_C(1) << slot;
    else if (!fits)
        entry->surplus |= UINT64_C(1) << slot;
    else
        take_record(published, entry, ms_decoded_record(decoded), slot);
    ms_decoded_destroy(decoded);
    return MS_OK;
}

/* Where a topic has been given more partitions, a user's records are in two. */
static bool is_older(const struct ms_published *published, const struct entry *entry,
                     const struct ms_input *input)
{
    return !published->by_interest && entry->seen && entry->partition != input->partition &&
           input->time_ms < entry->time_ms;
}

static enum ms_status take(struct ms_published *published, const struct ms_input *input,
                           struct ms_error *error)
{
    struct ms_bytes id;
    int slot;
    if (!read_key(published, input->key, &id, &slot) || !ms_verify_turn(published->verify, id))
        return MS_OK;
    struct entry *entry = find_or_add(published, id);
    if (!entry)
        return ms_fail(error, MS_MEMORY, "no memory for the records of %zu users", published->count);
    if (is_older(published, entry, input))
        return MS_OK;
    entry->seen = true;
    entry->partition = input->partition;
    entry->time_ms = input->time_ms;
    if (input->value.data)
        return decode(published, entry, input, slot, error);
    entry->null_before = true;
    clear_slot(published, entry, slot);
    return MS_OK;
}

/* ---- a pass ---- */

/* Whether something was committed for the partition that its state does not have. The group's offset may have passed what is
 * no record. */
static bool is_behind(const struct ms_group_offset *offset, const struct ms_row_source *row)
{
    int64_t applied = row->applied > 0 ? row->applied : 0;
    return offset->committed > applied && !(offset->upto > 0 && offset->upto <= applied);
}

/* Partitions of the input topic, as the state knows it; 0: it does not. */
static int partitions_of(const struct ms_verify *verify)
{
    uint32_t most = 0;
    for (int p = 0; p < MS_MAX_PARTITIONS; p++) {
        if (verify->partitions[p].row.partitions_count > most)
            most = verify->partitions[p].row.partitions_count;
    }
    return (int)most;
}

static enum ms_status ask_group(struct ms_published *published, struct ms_error *error)
{
    struct ms_verify *verify = published->verify;
    int partitions = partitions_of(verify);
    size_t count = 0;
    for (int source = 0; source < MS_SOURCES; source++) {
        for (int p = 0; ms_source_topic(source, verify->config)[0] && p < MS_MAX_PARTITIONS; p++) {
            if (verify->partitions[p].has_row || p < partitions)
                published->offsets[count++] = (struct ms_group_offset){.source = source, .partition = p};
        }
    }
    enum ms_status status = ms_group_offsets(verify->config, "mindstream-verify", published->offsets, count,
                                             error);
    published->whole = status == MS_OK && partitions > 0;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        const struct ms_group_offset *offset = &published->offsets[i];
        struct ms_verify_partition *partition = &verify->partitions[offset->partition];
        bool first = offset->source == MS_SOURCE_CLICKS;
        partition->behind = (!first && partition->behind) ||
                            is_behind(offset, &partition->row.sources[offset->source]);
        published->whole &= !partition->behind;
    }
    return status;
}

static enum ms_status count_people(void *context, uint16_t partition, struct ms_bytes id,
                                   struct ms_bytes value, struct ms_error *error)
{
    struct ms_published *published = context;
    struct entry *entry = ms_verify_turn(published->verify, id) ? find(published, id, ms_verify_hash(id))
                                                                : NULL;
    (void)partition, (void)value, (void)error;
    if (entry)
        entry->people++;
    return MS_OK;
}

static enum ms_status read_records(struct ms_published *published, bool *full, struct ms_error *error)
{
    struct ms_topic_reader *reader = published->reader;
    struct ms_progress progress;
    uint64_t total = ms_topic_reader_total(reader);
    enum ms_status status = MS_OK;
    ms_progress_start(&progress, "offsets of the output topic", total);
    while (status == MS_OK && !*full && !ms_topic_reader_done(reader)) {
        size_t count = 0;
        if (atomic_load(published->verify->setup.service.stop))
            return ms_fail(error, MS_KAFKA_RETRY, "stopped before the output topic was read");
        status = ms_topic_reader_next(reader, published->records, BATCH, WAIT_MS, &count, error);
        for (size_t i = 0; status == MS_OK && i < count; i++)
            status = take(published, &published->records[i], error);
        *full = published->verify->bucket == 0 && published->bytes > 2 * published->bytes_most;
        ms_progress_update(&progress, total - ms_topic_reader_left(reader));
    }
    if (progress.terminal)
        ms_progress_end(&progress, total - ms_topic_reader_left(reader));
    return status;
}

enum ms_status ms_published_read(struct ms_published *published, bool *full, struct ms_error *error)
{
    struct ms_verify *verify = published->verify;
    const struct ms_topic_reader_options options = {.config = verify->config,
                                                    .topic = verify->arguments->output_topic,
                                                    .client = "mindstream-verify",
                                                    .from = {.kind = MS_BOUND_EARLIEST},
                                                    .to = {.kind = MS_BOUND_LATEST}};
    const struct ms_store_visitor visitor = {.context = published, .on_user = count_people};
    *full = false;
    drop_entries(published);
    if (!ms_index_init(&published->index, 1024))
        return ms_fail(error, MS_MEMORY, "no memory for records");
    enum ms_status status = ms_topic_reader_open(&published->reader, &options, error);
    published->removes = status == MS_OK && ms_topic_reader_cut(published->reader);
    if (status == MS_OK)
        status = read_records(published, full, error);
    /* The group is asked when the records are read: those of a partition that is not behind then come from events that the state
     * has. */
    if (status == MS_OK && !*full)
        status = ask_group(published, error);
    if (status == MS_OK && !*full)
        status = ms_store_walk(verify->store, &visitor, error);
    ms_topic_reader_close(published->reader);
    published->reader = NULL;
    return status;
}

/* ---- a user against its record ---- */

static void differs(uint64_t version, struct ms_verdict *verdict, const char *what)
{
    ms_verdict_differs(verdict, output, "%s", what);
    verdict->has_version = true;
    verdict->version = version;
}

/* Whether there is a record for each of |count| interests, of the same version, and for no other. */
static void compare_slots(const struct ms_published *published, struct entry *entry, size_t count,
                          uint64_t version, struct ms_verdict *verdict)
{
    const uint64_t *versions = versions_of(entry);
    if (!published->by_interest) {
        if ((size_t)entry->count != count) {
            differs(version, verdict, "number of interests");
            verdict->largest = (double)INFINITY;
        }
        return;
    }
    for (size_t slot = 0; slot < published->slots; slot++) {
        const char *what = slot < count && !versions[slot]             ? "an interest has no record"
                           : slot < count && versions[slot] != version ? "an interest has an earlier record"
                           : slot >= count && versions[slot] ? "an interest that is gone has a record"
                                                             : NULL;
        if (!what)
            continue;
        differs(slot < count && versions[slot] ? versions[slot] : version, verdict, what);
        verdict->slot = (int)slot;
        return;
    }
    if (entry->surplus)
        differs(version, verdict, "an interest that is gone has a record");
}

static void compare_vectors(struct ms_published *published, struct entry *entry, struct ms_verify_user *user,
                            size_t newest_slot, struct ms_verdict *verdict)
{
    struct ms_interests interests = ms_user_interests(user->context, user->user);
    float *vectors = vectors_of(published, entry);
    uint64_t version = user->user->version;
    if (entry->other_shape) {
        differs(version, verdict, "vectors of another shape");
        return;
    }
    compare_slots(published, entry, (size_t)interests.count, version, verdict);
    if (verdict->outcome == MS_VERIFY_AGREES &&
        times_of(published, entry)[newest_slot] != user->user->last_time_ms)
        differs(version, verdict, "event time");
    if (verdict->outcome != MS_VERIFY_AGREES)
        return;
    const struct ms_interests there = {.count = interests.count,
                                       .dim = interests.dim,
                                       .vectors = vectors,
                                       .weights = vectors + published->slots * published->dim};
    ms_verify_interests(published->verify, output, &interests, &there, verdict);
    if (verdict->outcome == MS_VERIFY_DIFFERS) {
        verdict->has_version = true;
        verdict->version = version;
    }
}

/* What is different, whether there is a good reason or not. */
static void find_difference(struct ms_published *published, struct entry *entry, struct ms_verify_user *user,
                            struct ms_verdict *verdict)
{
    size_t slot = 0;
    uint64_t version = entry ? newest(published, entry, &slot) : 0;
    if (!entry || !entry->seen)
        ms_verdict_differs(verdict, output, "it has no record");
    else if (entry->unreadable)
        differs(version, verdict, "a record that cannot be read, or is of another user than its key");
    else if (version == 0)
        ms_verdict_differs(verdict, output, "it says that the user is forgotten");
    else if (user->user->version == 0)
        differs(version, verdict, "a record of a user without events");
    else if (version != user->user->version)
        differs(version, verdict, "version");
    else
        compare_vectors(published, entry, user, slot, verdict);
}

/* A good reason for a difference, if there is one. */
static void excuse(const struct ms_published *published, struct entry *entry, uint64_t version,
                   const struct ms_verify_user *user, struct ms_verdict *verdict)
{
    const struct ms_user *own = user->user;
    const struct ms_verify_partition *partition = &published->verify->partitions[own->partition];
    bool seen = entry && entry->seen, same = seen && version == own->version;
    /* In layout interest, one who never had interests is forgotten without a null value. */
    bool anew = seen && (entry->null_before || (published->by_interest && own->slots_max == 0));
    if (entry && entry->people > 1)
        ms_verdict_unknown(verdict, MS_VERIFY_SHARED);
    else if (partition->behind && seen && !entry->unreadable && (version > own->version || anew))
        ms_verdict_unknown(verdict, MS_VERIFY_BEHIND);
    else if (own->owed && own->owed == partition->row.debt && partition->row.owed_from >= 0)
        ms_verdict_unknown(verdict, MS_VERIFY_OWED);
    else if (!seen && published->removes)
        ms_verdict_unknown(verdict, MS_VERIFY_RETENTION);
    else if (same && !entry->unreadable && user->refolded)
        ms_verdict_unknown(verdict, MS_VERIFY_MODEL);
    else if (same && !entry->unreadable && entry->other_model)
        ms_verdict_unknown(verdict, MS_VERIFY_OTHER_MODEL);
}

bool ms_published_compare(struct ms_published *published, struct ms_verify_user *user,
                          struct ms_verdict *verdict)
{
    struct ms_bytes id = ms_user_id(user->user);
    struct entry *entry = find(published, id, ms_verify_hash(id));
    size_t slot = 0;
    uint64_t version = entry ? newest(published, entry, &slot) : 0;
    bool none = version == 0 && !(entry && (entry->unreadable || entry->surplus));
    *verdict = (struct ms_verdict){.outcome = MS_VERIFY_AGREES, .slot = -1};
    if (entry)
        entry->visited = true;
    if (user->user->version == 0 && none)
        return false;
    /* A user without interests has no record in layout interest. */
    if (none && published->by_interest && ms_user_interests(user->context, user->user).count == 0)
        return true;
    find_difference(published, entry, user, verdict);
    if (verdict->outcome == MS_VERIFY_DIFFERS)
        excuse(published, entry, version, user, verdict);
    return true;
}

void ms_published_rest(struct ms_published *published,
                       void (*take_one)(struct ms_verify *verify, struct ms_bytes id, uint64_t version,
                                        const struct ms_verdict *verdict))
{
    for (size_t i = 0; i < published->count; i++) {
        struct entry *entry = published->entries[i];
        struct ms_verdict verdict = {.outcome = MS_VERIFY_AGREES, .slot = -1};
        size_t slot = 0;
        uint64_t version = newest(published, entry, &slot);
        if (entry->visited || !entry->seen)
            continue;
        if (version == 0 && !entry->unreadable && !entry->surplus) {
            published->verify->forgotten++;
            continue;
        }
        if (published->whole)
            differs(version, &verdict, "the state has no such user");
        else
            ms_verdict_unknown(&verdict, MS_VERIFY_ELSEWHERE);
        take_one(published->verify, id_of(published, entry), version, &verdict);
    }
}

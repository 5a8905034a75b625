/* Who clicks what, and when. */
#include "synth/generator.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "synth/random.h"
#include "synth/zipf.h"

#define MAX_CLUSTERS      1000
#define ITEMS_PER_CLUSTER 100
#define STRAY_OF_256      32 /* clicks, out of 256, that are on any item */

enum tag { TAG_EVENTS = 1, TAG_USER, TAG_CLUSTER, TAG_USER_ORDER, TAG_ITEM_ORDER };

/* rank -> rank * factor mod count, so that an id does not show how popular it is. */
struct shuffle {
    uint32_t count, factor, inverse;
};

struct ms_generator {
    struct ms_generator_settings settings;
    uint64_t random;
    uint64_t events;
    uint64_t drift_period; /* in events of all users */
    uint64_t user_seed, cluster_seed;
    struct shuffle user_order, item_order;
    struct ms_zipf user_law, item_law;
    uint32_t clusters;
    struct ms_zipf in_cluster[]; /* by cluster: the law of its items */
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a ^ (b * 0xD6E8FEB86659FD93U);
    return ms_random_next(&state);
}

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t remainder = a % b;
        a = b;
        b = remainder;
    }
    return a;
}

/* The number whose product with |factor| is 1 modulo |count| (extended Euclid). */
static uint32_t modular_inverse(uint32_t factor, uint32_t count)
{
    int64_t r0 = count, r1 = factor, t0 = 0, t1 = 1;
    while (r1) {
        int64_t quotient = r0 / r1, r2 = r0 - quotient * r1, t2 = t0 - quotient * t1;
        r0 = r1;
        r1 = r2;
        t0 = t1;
        t1 = t2;
    }
    return (uint32_t)(t0 < 0 ? t0 + count : t0);
}

static struct shuffle shuffle_of(uint32_t count, uint64_t hash)
{
    uint32_t factor = count < 3 ? 1 : 1 + (uint32_t)(hash % (count - 1));
    while (greatest_common_divisor(factor, count) != 1)
        factor++;
    return (struct shuffle){count, factor, count == 1 ? 0 : modular_inverse(factor % count, count)};
}

static uint32_t shuffled(const struct shuffle *shuffle, uint32_t rank)
{
    return (uint32_t)((uint64_t)rank * shuffle->factor % shuffle->count);
}

static uint32_t rank_of(const struct shuffle *shuffle, uint32_t id)
{
    return (uint32_t)((uint64_t)id * shuffle->inverse % shuffle->count);
}

struct ms_generator_settings ms_generator_defaults(void)
{
    return (struct ms_generator_settings){
        .seed = 1,
        .item_skew = 1.0,
        .user_skew = 0.5,
        .drift_events = 40,
        .start_ms = 1700000000000,
        .interval_ms = 1,
        .dim = 64,
        .interests = 4,
        .max_behaviors = 50,
    };
}

static enum ms_status check_range(const char *name, int64_t value, int64_t min, int64_t max,
                                  struct ms_error *error)
{
    if (value >= min && value <= max)
        return MS_OK;
    return ms_fail(error, MS_USAGE, "%s is %" PRId64 ", it must be %" PRId64 " to %" PRId64, name, value, min,
                   max);
}

static enum ms_status check(const struct ms_generator_settings *settings, struct ms_error *error)
{
    const struct {
        const char *name;
        int64_t value, min, max;
    } ranges[] = {
        {"users", settings->users, 1, MS_GENERATOR_MAX_IDS},
        {"items", settings->items, 1, MS_GENERATOR_MAX_IDS},
        {"drift", settings->drift_events, 1, 1000000000},
        {"start (ms)", settings->start_ms, 0, 253402300799999},
        {"interval (ms)", settings->interval_ms, 1, 86400000},
        {"dim", settings->dim, 1, 4096},
        {"interests", settings->interests, 1, 64},
        {"max-behaviors", settings->max_behaviors, 1, 100000},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (check_range(ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max, error) != MS_OK)
            return MS_USAGE;
    }
    if (!(settings->item_skew >= 0 && settings->item_skew <= 10 && settings->user_skew >= 0 &&
          settings->user_skew <= 10))
        return ms_fail(error, MS_USAGE, "item-skew is %g and user-skew %g, they must be 0 to 10",
                       settings->item_skew, settings->user_skew);
    return MS_OK;
}

enum ms_status ms_generator_new(struct ms_generator **generator, const struct ms_generator_settings *settings,
                                struct ms_error *error)
{
    if (check(settings, error) != MS_OK)
        return MS_USAGE;
    uint32_t clusters = settings->items / ITEMS_PER_CLUSTER;
    clusters = clusters < 1 ? 1 : clusters > MAX_CLUSTERS ? MAX_CLUSTERS : clusters;
    struct ms_generator *made = calloc(1, sizeof *made + clusters * sizeof made->in_cluster[0]);
    if (!made)
        return ms_fail(error, MS_MEMORY, "out of memory for the generator");
    made->settings = *settings;
    made->random = mix(settings->seed, TAG_EVENTS);
    made->user_seed = mix(settings->seed, TAG_USER);
    made->cluster_seed = mix(settings->seed, TAG_CLUSTER);
    made->drift_period = (uint64_t)settings->drift_events * settings->users;
    made->user_order = shuffle_of(settings->users, mix(settings->seed, TAG_USER_ORDER));
    made->item_order = shuffle_of(settings->items, mix(settings->seed, TAG_ITEM_ORDER));
    ms_zipf_init(&made->user_law, settings->users, settings->user_skew, 1.0);
    ms_zipf_init(&made->item_law, settings->items, settings->item_skew, 1.0);
    made->clusters = clusters;
    /* Cluster c has the items of rank c, c + clusters, ...: weights (c + 1 + k * clusters)^-s. Up to a factor
     * these are ((c + 1) / clusters + k)^-s. A cluster is drawn as often as the law draws its items, so all
     * items follow the law. */
    for (uint32_t c = 0; c < clusters; c++)
        ms_zipf_init(&made->in_cluster[c], (settings->items - c - 1) / clusters + 1, settings->item_skew,
                     (c + 1.0) / clusters);
    *generator = made;
    return MS_OK;
}

void ms_generator_destroy(struct ms_generator *generator)
{
    free(generator);
}

uint32_t ms_generator_cluster(const struct ms_generator *generator, uint32_t item)
{
    return rank_of(&generator->item_order, item) % generator->clusters;
}

uint32_t ms_generator_clusters(const struct ms_generator *generator)
{
    return generator->clusters;
}

const struct ms_generator_settings *ms_generator_settings(const struct ms_generator *generator)
{
    return &generator->settings;
}

/* The cluster that interest |slot| of a user has now. Each slot changes at a time of its own. */
static uint32_t interest_cluster(const struct ms_generator *generator, uint64_t user_hash, uint32_t slot)
{
    uint64_t slot_hash = mix(user_hash, slot + generator->cluster_seed);
    uint64_t epoch = (generator->events + slot_hash % generator->drift_period) / generator->drift_period;
    uint64_t state = mix(slot_hash, epoch);
    return ms_zipf_draw(&generator->item_law, &state) % generator->clusters;
}

void ms_generator_next(struct ms_generator *generator, struct ms_generated *event)
{
    const struct ms_generator_settings *settings = &generator->settings;
    uint64_t *random = &generator->random;
    uint32_t user = shuffled(&generator->user_order, ms_zipf_draw(&generator->user_law, random));
    uint64_t bits = ms_random_next(random);
    uint32_t rank;
    if ((bits & 0xFF) < STRAY_OF_256) {
        rank = ms_zipf_draw(&generator->item_law, random);
    } else {
        uint64_t user_hash = mix(generator->user_seed, user);
        uint32_t slots = 1 + (uint32_t)(user_hash % (uint64_t)settings->interests);
        uint32_t slot = (uint32_t)(bits >> 8 & 0xFFFF) % slots;
        uint32_t cluster = interest_cluster(generator, user_hash, slot);
        rank = cluster + ms_zipf_draw(&generator->in_cluster[cluster], random) * generator->clusters;
    }
    uint64_t jitter = settings->interval_ms == 1 ? 0 : (bits >> 32) % (uint64_t)settings->interval_ms;
    event->user = user;
    event->item = shuffled(&generator->item_order, rank);
    event->time_ms = settings->start_ms +
                     (int64_t)(generator->events * (uint64_t)settings->interval_ms + jitter);
    generator->events++;
}

/* Writes |number| in decimal at |at| and returns the end. */
static char *print_number(char *at, uint64_t number)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
        "46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
        "9293949596979899";
    char digits[20], *first = digits + sizeof digits;
    while (number >= 100) {
        first -= 2;
        memcpy(first, pairs + number % 100 * 2, 2);
        number /= 100;
    }
    if (number >= 10) {
        first -= 2;
        memcpy(first, pairs + number * 2, 2);
    } else {
        *--first = (char)('0' + number);
    }
    size_t size = (size_t)(digits + sizeof digits - first);
    memcpy(at, first, size);
    return at + size;
}

#define PUT(at, text) ((char *)memcpy(at, text, sizeof text - 1) + sizeof text - 1)

size_t ms_generator_json(char *at, const struct ms_generated *event)
{
    char *begin = at;
    at = PUT(at, "{\"user_id\":\"u");
    at = print_number(at, event->user);
    at = PUT(at, "\",\"item_id\":\"i");
    at = print_number(at, event->item);
    at = PUT(at, "\",\"timestamp\":");
    at = print_number(at, (uint64_t)event->time_ms);
    at = PUT(at, ",\"event_type\":\"click\"}");
    return (size_t)(at - begin);
}

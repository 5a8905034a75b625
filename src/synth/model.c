/* The model of a generated click stream: an item is its cluster's centre and something of its own, and the
 * bilinear map is nearly the identity, so that the interests found are the clusters followed. */
#include "app/generator.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/zipf.h"

#define CENTRE_LENGTH                                                                                        \
    2.5 /* long against OWN_LENGTH, and both long enough to outweigh the random initial logits */
#define OWN_LENGTH 1.0
#define MAP_NOISE  0.02

static const char *const file_names[] = {"config.json", "items.txt", "model.safetensors"};
enum { FILE_COUNT = sizeof file_names / sizeof file_names[0] };

/* About N(0, 1): the sum of four uniform 16-bit numbers, the same on every machine. */
static double normal(uint64_t *state)
{
    uint64_t x = ms_random_next(state);
    int sum = (int)(x & 0xFFFF) + (int)(x >> 16 & 0xFFFF) + (int)(x >> 32 & 0xFFFF) + (int)(x >> 48);
    return (sum - 2 * 65535) * (1.0 / 37837.2);
}

/* Adds a vector of random direction and given length, made of (seed, kind, number), to |vector| [dim]. */
static void add_direction(double *vector, double *scratch, int dim, uint64_t seed, uint64_t kind,
                          uint64_t number, double length)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15U + kind * 0xD6E8FEB86659FD93U + number * 0xC2B2AE3D27D4EB4FU;
    state = ms_random_next(&state);
    double square = 0;
    for (int i = 0; i < dim; i++) {
        scratch[i] = normal(&state);
        square += scratch[i] * scratch[i];
    }
    double scale = square > 0 ? length / sqrt(square) : 0;
    for (int i = 0; i < dim; i++)
        vector[i] += scale * scratch[i];
}

static bool write_floats(FILE *file, const double *vector, float *floats, int dim)
{
    for (int i = 0; i < dim; i++)
        floats[i] = (float)vector[i];
    return fwrite(floats, sizeof *floats, (size_t)dim, file) == (size_t)dim;
}

static bool write_config(FILE *file, const struct ms_generator *generator)
{
    const struct ms_generator_settings *settings = ms_generator_settings(generator);
    return fprintf(file,
                   "{\n  \"format\": \"mindstream-model/1\",\n  \"name\": \"generated\",\n  \"version\": "
                   "\"%" PRIu64 "\",\n  \"extractor\": \"mind\",\n  \"dim\": %d,\n  \"interests\": %d,\n  "
                   "\"max_behaviors\": %d,\n"
                   "  \"interest_count\": \"log2-floor\"\n}\n",
                   settings->seed, settings->dim, settings->interests, settings->max_behaviors) > 0;
}

static bool write_items(FILE *file, const struct ms_generator *generator)
{
    uint32_t items = ms_generator_settings(generator)->items;
    bool good = true;
    for (uint32_t item = 0; good && item < items; item++)
        good = fprintf(file, "i%" PRIu32 "\n", item) > 0;
    return good;
}

/* An 8-byte size, a JSON header padded to 8 bytes, the tensors one after the other. */
static bool write_header(FILE *file, uint64_t items, uint64_t dim)
{
    char header[512];
    uint64_t items_end = items * dim * sizeof(float), end = items_end + dim * dim * sizeof(float);
    int size = snprintf(header, sizeof header,
                        "{\"item_embedding\":{\"dtype\":\"F32\",\"shape\":[%" PRIu64 ",%" PRIu64
                        "],\"data_offsets\":[0,%" PRIu64
                        "]},\"routing.bilinear\":{\"dtype\":\"F32\",\"shape\":[%" PRIu64 ",%" PRIu64
                        "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}}",
                        items, dim, items_end, dim, dim, items_end, end);
    while (size % 8)
        header[size++] = ' ';
    uint64_t header_bytes = (uint64_t)size;
    return fwrite(&header_bytes, sizeof header_bytes, 1, file) == 1 &&
           fwrite(header, 1, header_bytes, file) == header_bytes;
}

enum kind { KIND_CENTRE = 1, KIND_ITEM, KIND_MAP };

static bool write_tensors(FILE *file, const struct ms_generator *generator)
{
    const struct ms_generator_settings *settings = ms_generator_settings(generator);
    int dim = settings->dim;
    size_t width = (size_t)dim;
    uint32_t clusters = ms_generator_clusters(generator);
    double *centres = calloc(clusters * width, sizeof *centres);
    double *row = calloc(2 * width, sizeof *row);
    float *floats = calloc(width, sizeof *floats);
    bool good = centres && row && floats && write_header(file, settings->items, width);
    for (uint32_t c = 0; good && c < clusters; c++)
        add_direction(centres + c * width, row + width, dim, settings->seed, KIND_CENTRE, c, CENTRE_LENGTH);
    for (uint32_t item = 0; good && item < settings->items; item++) {
        memcpy(row, centres + ms_generator_cluster(generator, item) * width, width * sizeof *row);
        add_direction(row, row + width, dim, settings->seed, KIND_ITEM, item, OWN_LENGTH);
        good = write_floats(file, row, floats, dim);
    }
    for (int i = 0; good && i < dim; i++) {
        memset(row, 0, width * sizeof *row);
        row[i] = 1.0;
        add_direction(row, row + width, dim, settings->seed, KIND_MAP, (uint64_t)i, MAP_NOISE);
        good = write_floats(file, row, floats, dim);
    }
    free(centres);
    free(row);
    free(floats);
    return good;
}

static enum ms_status write_file(const struct ms_generator *generator, const char *dir, int which,
                                 struct ms_error *error)
{
    static bool (*const writers[])(FILE *, const struct ms_generator *) = {write_config, write_items,
                                                                           write_tensors};
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, file_names[which]) >= (int)sizeof path)
        return ms_fail(error, MS_IO, "%s: the name is too long", dir);
    FILE *file = fopen(path, "w");
    bool good = file && writers[which](file, generator) && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int reason = errno;
    if (file && fclose(file) != 0 && good) {
        good = false;
        reason = errno;
    }
    return good ? MS_OK : ms_fail(error, MS_IO, "%s: %s", path, strerror(reason));
}

static void remove_model(const char *dir)
{
    char path[PATH_MAX];
    for (int i = 0; i < FILE_COUNT; i++) {
        if (snprintf(path, sizeof path, "%s/%s", dir, file_names[i]) < (int)sizeof path)
            unlink(path);
    }
    rmdir(dir);
}

/* Whether |dir| may give way to a model: it is not there, is empty, or holds a model's files and nothing
 * else. */
static enum ms_status check_target(const char *dir, struct ms_error *error)
{
    DIR *listing = opendir(dir);
    if (!listing)
        return errno == ENOENT ? MS_OK : ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    enum ms_status status = MS_OK;
    const struct dirent *entry;
    while (status == MS_OK && (entry = readdir(listing))) {
        bool known = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        for (int i = 0; i < FILE_COUNT; i++)
            known = known || strcmp(entry->d_name, file_names[i]) == 0;
        if (!known)
            status = ms_fail(error, MS_IO, "%s holds %s, so it is not replaced by a model", dir,
                             entry->d_name);
    }
    closedir(listing);
    return status;
}

/* Puts |made| in |dir|'s place in one step; what was there goes. */
static enum ms_status put_in_place(const char *made, const char *dir, struct ms_error *error)
{
    if (renameat2(AT_FDCWD, made, AT_FDCWD, dir, RENAME_EXCHANGE) == 0) {
        remove_model(made);
        return MS_OK;
    }
    return rename(made, dir) == 0 ? MS_OK : ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
}

enum ms_status ms_generator_write_model(const struct ms_generator *generator, const char *dir,
                                        struct ms_error *error)
{
    char made[PATH_MAX];
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/')
        size--;
    if (size == 0 || size + 64 > sizeof made)
        return ms_fail(error, MS_USAGE, "'%.100s' cannot be a model directory", dir);
    enum ms_status status = check_target(dir, error);
    if (status != MS_OK)
        return status;
    snprintf(made, sizeof made, "%.*s.new-XXXXXX", (int)size, dir);
    if (!mkdtemp(made) || chmod(made, 0755) != 0)
        return ms_fail(error, MS_IO, "%s: %s", made, strerror(errno));
    for (int i = 0; status == MS_OK && i < FILE_COUNT; i++)
        status = write_file(generator, made, i, error);
    if (status == MS_OK)
        status = put_in_place(made, dir, error);
    if (status != MS_OK)
        remove_model(made);
    return status;
}

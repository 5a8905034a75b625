/* Writes records in both formats and layouts to stdout for record_test.py, each as a line of kind, size and,
 * after the line, the bytes. With "bench" it prints the time of one encoded record instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "mindstream/record.h"

enum { K = 4, DIM = 64 };

struct sample_data {
    float vectors[K * DIM], weights[K];
};

static void fill(struct sample_data *data, uint32_t seed)
{
    for (size_t i = 0; i < K * DIM; i++) {
        seed = seed * 1664525 + 1013904223;
        data->vectors[i] = (float)(int32_t)seed / 4e9F;
    }
    data->vectors[0] = 0.0F;
    data->vectors[1] = -0.0F;
    data->vectors[2] = 1.0F;
    for (size_t i = 0; i < K; i++)
        data->weights[i] = i == K - 1 ? 0.0F : (float)(i + 1) / 7.0F;
}

static void put(const char *kind, struct ms_bytes bytes)
{
    printf("%s %zu\n", kind, bytes.size);
    fwrite(bytes.data, 1, bytes.size, stdout);
}

static void put_record(struct ms_encoder *const encoders[2], const struct ms_record *record)
{
    put("user.protobuf", ms_encode_user(encoders[MS_RECORD_PROTOBUF], record));
    put("user.json", ms_encode_user(encoders[MS_RECORD_JSON], record));
    for (int i = 0; i < record->interests.count; i++) {
        put("interest.key", ms_encode_interest_key(encoders[MS_RECORD_JSON], record->user_id, i));
        put("interest.protobuf", ms_encode_interest(encoders[MS_RECORD_PROTOBUF], record, i));
        put("interest.json", ms_encode_interest(encoders[MS_RECORD_JSON], record, i));
    }
}

static void put_samples(struct ms_encoder *const encoders[2])
{
    static const struct ms_bytes users[] = {
        {"u1", 2}, {"a\0\"\\\n\xc3\xa9\xf0\x9f\x98\x80", 11}, {"12345678901234567890", 20}};
    static const uint64_t versions[] = {0, 1, 127, 128, 300, UINT64_MAX};
    static const int64_t times[] = {0, 1700000000123, -1, INT64_MAX};
    struct sample_data data;
    for (uint32_t i = 0; i < 120; i++) {
        fill(&data, i);
        struct ms_record record = {users[i % 3],
                                   versions[i % 6],
                                   times[i % 4],
                                   {"tmall@1", i % 8 == 7 ? 0 : 7},
                                   {(int)(i % (K + 1)), 1 + (int)(i * 7 % DIM), data.vectors, data.weights}};
        put_record(encoders, &record);
    }
}

static void bench(const char *name, struct ms_encoder *encoder)
{
    enum { RECORDS = 100000 };
    struct sample_data data;
    fill(&data, 1);
    struct ms_record record = {{"user-12345", 10},
                               17,
                               1700000000123,
                               {"tmall@2026-11-20", 16},
                               {K, DIM, data.vectors, data.weights}};
    double best_us = 1e9;
    size_t bytes = 0;
    for (int turn = 0; turn < 3; turn++) {
        double start = ms_monotonic_s();
        for (int i = 0; i < RECORDS; i++) {
            record.version++;
            bytes = ms_encode_user(encoder, &record).size;
        }
        double us = (ms_monotonic_s() - start) * 1e6 / RECORDS;
        best_us = us < best_us ? us : best_us;
    }
    printf("%-8s %5zu bytes  %.3f us/record\n", name, bytes, best_us);
}

int main(int argc, char **argv)
{
    struct ms_encoder *encoders[2] = {NULL, NULL};
    struct ms_error error;
    if (ms_encoder_new(&encoders[0], MS_RECORD_PROTOBUF, &error) ||
        ms_encoder_new(&encoders[1], MS_RECORD_JSON, &error))
        return 1;
    if (argc > 1 && strcmp(argv[1], "bench") == 0) {
        bench("protobuf", encoders[MS_RECORD_PROTOBUF]);
        bench("json", encoders[MS_RECORD_JSON]);
    } else {
        put_samples(encoders);
    }
    ms_encoder_destroy(encoders[0]);
    ms_encoder_destroy(encoders[1]);
    return 0;
}

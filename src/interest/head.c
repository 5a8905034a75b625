/* What comes after the capsules: the head, normalize, and the weights. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "interest/extractor.h"

void ms_head_bind(struct ms_extractor *x)
{
    x->profile_dim = (size_t)x->spec->config.profile_dim;
    size_t width = x->capsule_dim + x->profile_dim;
    x->head_stride = ms_round_up(width, MS_LANES);
    for (int n = 0; n < x->spec->head_layers; n++) {
        char name[32];
        snprintf(name, sizeof name, "head.%d.weight", n);
        struct ms_tensor weight = ms_model_tensor(x->model, name);
        snprintf(name, sizeof name, "head.%d.bias", n);
        assert(weight.data && (size_t)weight.shape[1] == width);
        x->head[n] = (struct ms_dense){.weight = weight.data,
                                       .bias = ms_model_tensor(x->model, name).data,
                                       .in = width,
                                       .out = (size_t)weight.shape[0],
                                       .relu = x->spec->head_activation[n] == MS_ACTIVATION_RELU};
        width = x->head[n].out;
        if (ms_round_up(width, MS_LANES) > x->head_stride)
            x->head_stride = ms_round_up(width, MS_LANES);
    }
    assert(width == x->dim);
}

void ms_head_carve(struct ms_extractor *x, struct ms_carver *carver)
{
    x->profile = ms_carve(carver, x->profile_dim, 1, sizeof(float));
    for (int i = 0; i < 2; i++) {
        x->head_f32[i] = ms_carve(carver, ms_round_up(x->K, MS_TILE), x->head_stride, sizeof(float));
        x->head_f64[i] = ms_carve(carver, x->K, x->head_stride, sizeof(double));
    }
}

/* Notes a number that float32 does not have. */
static void note(struct ms_extractor *x, double value)
{
    x->overflowed |= !(fabs(value) <= (double)FLT_MAX);
}

static void note_all(struct ms_extractor *x, const float *v, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= fabsf(v[i]) <= FLT_MAX;
    x->overflowed |= !finite;
}

/* A float that may be published: never NaN or infinite, whatever sizes of number the model has. */
static float publishable(struct ms_extractor *x, double value)
{
    note(x, value);
    if (isnan(value))
        return 0.0f;
    return (float)fmin(fmax(value, -(double)FLT_MAX), (double)FLT_MAX);
}

/* Where capsule and profile begin in a row that goes into the head. */
static void offsets_in_row(const struct ms_extractor *x, size_t *capsule, size_t *profile)
{
    bool before = x->spec->profile_order == MS_PROFILE_BEFORE_INTEREST;
    *capsule = before ? x->profile_dim : 0;
    *profile = before ? 0 : x->capsule_dim;
}

/* Rows [count, padded to 4][head_stride], zero beyond their width. */
static const float *compose_f32(struct ms_extractor *x, const float *z, size_t width, const float *factors,
                                size_t count)
{
    size_t padded = (count + MS_TILE - 1) / MS_TILE * MS_TILE, capsule, profile;
    float *rows = x->head_f32[1];
    offsets_in_row(x, &capsule, &profile);
    memset(rows, 0, padded * x->head_stride * sizeof *rows);
    for (size_t j = 0; j < count; j++) {
        float *row = rows + j * x->head_stride;
        x->kernels->scale_rows(z + j * width, 1, x->capsule_dim, factors + j, row + capsule, x->capsule_dim);
        memcpy(row + profile, x->profile, x->profile_dim * sizeof *row);
    }
    return rows;
}

static const double *compose_f64(struct ms_extractor *x, const double *capsules, size_t count)
{
    size_t capsule, profile;
    double *rows = x->head_f64[1];
    offsets_in_row(x, &capsule, &profile);
    for (size_t j = 0; j < count; j++) {
        double *row = rows + j * x->head_stride;
        memcpy(row + capsule, capsules + j * x->stride, x->capsule_dim * sizeof *row);
        for (size_t c = 0; c < x->profile_dim; c++)
            row[profile + c] = (double)x->profile[c];
    }
    return rows;
}

static const float *run_head_f32(struct ms_extractor *x, const float *v, size_t count)
{
    size_t padded = (count + MS_TILE - 1) / MS_TILE * MS_TILE;
    for (int n = 0; n < x->spec->head_layers; n++) {
        const struct ms_dense *layer = &x->head[n];
        float *out = x->head_f32[n % 2];
        x->kernels->dense_f32(layer->weight, layer->out, layer->in, v, padded, x->head_stride, out,
                              x->head_stride);
        for (size_t j = 0; j < count; j++) {
            float *row = out + j * x->head_stride;
            for (size_t o = 0; layer->bias && o < layer->out; o++)
                row[o] += layer->bias[o];
            note_all(x, row, layer->out); /* relu would make 0 of what has no value */
            for (size_t o = 0; layer->relu && o < layer->out; o++)
                row[o] = row[o] > 0.0f ? row[o] : 0.0f;
            memset(row + layer->out, 0, (x->head_stride - layer->out) * sizeof *row);
        }
        v = out;
    }
    return v;
}

static const double *run_head_f64(struct ms_extractor *x, const double *v, size_t count)
{
    for (int n = 0; n < x->spec->head_layers; n++) {
        const struct ms_dense *layer = &x->head[n];
        double *out = x->head_f64[n % 2];
        for (size_t j = 0; j < count; j++) {
            for (size_t o = 0; o < layer->out; o++) {
                double sum = layer->bias ? (double)layer->bias[o] : 0.0;
                for (size_t i = 0; i < layer->in; i++)
                    sum += (double)layer->weight[o * layer->in + i] * v[j * x->head_stride + i];
                x->overflowed |= !isfinite(sum);
                out[j * x->head_stride + o] = layer->relu ? fmax(sum, 0.0) : sum;
            }
        }
        v = out;
    }
    return v;
}

/* 1 / |v|, 0 where there is nothing to normalize. */
static double inverse_length(double norm)
{
    return norm > 0.0 ? 1.0 / sqrt(norm) : 0.0;
}

bool ms_publishes_capsules(const struct ms_extractor *x)
{
    return x->spec->head_layers == 0 && !x->spec->normalize && x->profile_dim == 0;
}

struct ms_interests ms_finish_f64(struct ms_extractor *x, const double *capsules, const double *mass,
                                  size_t count)
{
    size_t stride = x->head_stride;
    const double *v = capsules;
    double total = 0.0;
    if (x->spec->head_layers || x->profile_dim)
        v = run_head_f64(x, compose_f64(x, capsules, count), count);
    else
        stride = x->stride;
    for (size_t j = 0; j < count; j++) {
        double factor = 1.0, norm = 0.0;
        for (size_t c = 0; x->spec->normalize && c < x->dim; c++)
            norm += v[j * stride + c] * v[j * stride + c];
        if (x->spec->normalize)
            factor = inverse_length(norm);
        for (size_t c = 0; c < x->dim; c++)
            note(x, v[j * stride + c] * factor);
        x->kernels->publish_f64(v + j * stride, x->dim, factor, x->vectors + j * x->dim);
        total += mass[j];
    }
    for (size_t j = 0; j < count; j++)
        x->weights[j] = total > 0.0 ? publishable(x, mass[j] / total) : 1.0f / (float)count;
    return (struct ms_interests){(int)count, (int)x->dim, x->vectors, x->weights};
}

static double norm_in_double(const float *v, size_t n)
{
    double norm = 0.0;
    for (size_t c = 0; c < n; c++)
        norm += (double)v[c] * (double)v[c];
    return norm;
}

static void normalize_f32(struct ms_extractor *x, const float *v, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        const float *from = v + j * stride;
        double norm = norm_in_double(from, x->dim);
        double factor = x->spec->normalize ? inverse_length(norm) : 1.0;
        for (size_t c = 0; c < x->dim; c++)
            x->vectors[j * x->dim + c] = publishable(x, factor * (double)from[c]);
    }
}

struct ms_interests ms_finish_weights(struct ms_extractor *x, const float *mass, size_t count)
{
    float total = 0.0f;
    for (size_t j = 0; j < count; j++)
        total += mass[j];
    float share = total > 0.0f ? 1.0f / total : 0.0f;
    for (size_t j = 0; j < count; j++)
        x->weights[j] = total > 0.0f ? mass[j] * share : 1.0f / (float)count;
    return (struct ms_interests){(int)count, (int)x->dim, x->vectors, x->weights};
}

struct ms_interests ms_finish_f32(struct ms_extractor *x, const float *z, size_t width, const float *factors,
                                  const float *mass, size_t count)
{
    bool plain = ms_publishes_capsules(x);
    for (size_t j = 0; j < count; j++)
        plain = plain && isfinite(factors[j]);
    if (plain && width == x->dim) {
        x->kernels->scale_rows(z, count, width, factors, x->vectors, x->dim);
        note_all(x, x->vectors, count * x->dim);
    } else {
        normalize_f32(x, run_head_f32(x, compose_f32(x, z, width, factors, count), count), x->head_stride,
                      count);
    }
    return ms_finish_weights(x, mass, count);
}

/* An item as routing takes it alone. */
#include "interest/mind/mind.h"

const float *ms_mind_item_vectors(struct ms_extractor *x, uint32_t item, size_t position, int *count)
{
    struct ms_mind *m = x->context;
    enum ms_bilinear map = m->routing->bilinear;
    size_t d = x->item_dim, width = x->capsule_dim;
    if (map != MS_BILINEAR_PER_INTEREST && map != MS_BILINEAR_PER_POSITION) {
        *count = 1;
        return m->items + (size_t)item * width;
    }
    const float *embedding = ms_model_item_embedding(x->model, item), *maps = m->bilinear;
    if (map == MS_BILINEAR_PER_POSITION)
        maps += position * x->K * d * width;
    for (size_t j = 0; j < x->K; j++) {
        for (size_t c = 0; c < width; c++) {
            double sum = m->bilinear_bias ? (double)m->bilinear_bias[c] : 0.0;
            for (size_t i = 0; i < d; i++)
                sum += (double)embedding[i] * (double)maps[(j * d + i) * width + c];
            m->item_by_interest[j * width + c] = (float)sum;
        }
    }
    *count = (int)x->K;
    return m->item_by_interest;
}

/* The softmax of logits in double. */
#include <math.h>

#include "interest/extractor.h"

void ms_softmax(const double *b, double *w, size_t n, size_t kept, size_t step, double scale)
{
    double top = -HUGE_VAL, total = 0.0;
    for (size_t i = 0; i < n; i++) {
        double logit = scale * b[i * step];
        top = logit > top ? logit : top;
    }
    for (size_t i = 0; i < n; i++) {
        double e = exp(scale * b[i * step] - top);
        total += e;
        if (i < kept)
            w[i * step] = e;
    }
    for (size_t i = 0; i < kept && i < n; i++)
        w[i * step] /= total;
}

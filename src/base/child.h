/* Runs a program for what it prints, within bounds of time and size. */
#ifndef MS_BASE_CHILD_H
#define MS_BASE_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "mindstream/status.h"

#define MS_CHILD_WORDS_MAX 64

/* A command as a list of words. */
struct ms_words {
    char *words[MS_CHILD_WORDS_MAX + 1]; /* NULL behind the last */
    size_t count;
    char *text; /* what they lie in */
};

/* Splits |command| at blanks. Blanks between '...' or "..." belong to a word; nothing else has a meaning: no shell reads it.
 * The first word must be the absolute path of the program. The caller frees *words, also of a failure that is no MS_OK.
 * MS_CONFIG with what is wrong. */
enum ms_status ms_words_split(struct ms_words *words, const char *command,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_words_free(struct ms_words *words);

/* Runs the program without a shell and appends what it prints to |out|, at most out->max bytes. It gets this process's environment,
 * /dev/null as its input and no other descriptor. It is killed, with all that it has started in its process group, where it takes longer
 * than |most_ms| or prints too much. MS_IO with its exit status and the first line of its error output. Blocks; any thread. */
enum ms_status ms_child_run(const struct ms_words *words, int64_t most_ms, struct ms_buffer *out,
                            struct ms_error *error) MS_MUST_CHECK;

#endif

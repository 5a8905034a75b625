/* The bytes of a file or of standard input, decompressed where they are compressed by gzip or zstd. */
#ifndef MS_TRAIN_INPUT_H
#define MS_TRAIN_INPUT_H

#include "base/lines.h"

struct ms_input;

/* Opens |path|, "-" for standard input; |path| must outlive the input. The first bytes tell what the compression is; several
 * gzip members or zstd frames may follow one another. MS_IO and MS_MEMORY name the file. Close it with ms_input_close, which is
 * legal on NULL. One thread an input. */
enum ms_status ms_input_open(struct ms_input **input, const char *path, struct ms_error *error) MS_MUST_CHECK;
void ms_input_close(struct ms_input *input);

/* Its bytes for a reader of lines; holds until ms_input_close. Reading gives MS_IO, MS_MEMORY, and MS_FORMAT where compressed
 * data are damaged or cut off. */
struct ms_byte_source ms_input_source(struct ms_input *input);

/* Bytes of the file that were read so far, compressed as they are. 0 for NULL. */
uint64_t ms_input_bytes(const struct ms_input *input);

/* Lines of such a file. */
struct ms_line_file {
    struct ms_input *input;
    struct ms_lines lines;
};

/* Opens |path| as ms_input_open does, for lines of up to |max_bytes|: ms_lines_next(&file->lines, ...) gives them. Close it with
 * ms_line_file_close, which is legal on a zeroed one. */
enum ms_status ms_line_file_open(struct ms_line_file *file, const char *path, size_t max_bytes,
                                 struct ms_error *error) MS_MUST_CHECK;
void ms_line_file_close(struct ms_line_file *file);

#endif

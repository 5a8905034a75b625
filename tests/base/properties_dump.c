/* Prints what ms_properties_read finds in each FILE: "file N", "KEY VALUE" in hexadecimal, "error" where it is refused. */
#include <stdio.h>
#include <string.h>

#include "base/properties.h"

static void print_hex(const char *text, char end)
{
    for (; *text; text++)
        printf("%02x", (unsigned)(unsigned char)*text);
    putchar(end);
}

static enum ms_status print_pair(void *context, const char *key, const char *value, const char *where,
                                 struct ms_error *error)
{
    (void)context;
    (void)where;
    (void)error;
    print_hex(key, ' ');
    print_hex(value, '\n');
    return MS_OK;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        printf("file %d\n", i - 1);
        if (ms_properties_read(argv[i], print_pair, NULL, NULL) != MS_OK)
            puts("error");
    }
    return 0;
}

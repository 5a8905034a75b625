/* Look-ups of one user. */
#include "state/reader.h"

#include "user/codec.h"
#include "user/history.h"

enum ms_status ms_store_read_head(struct ms_store *store, uint16_t partition, struct ms_bytes id,
                                  struct ms_user **user, struct ms_error *error)
{
    struct ms_buffer key = {0};
    struct ms_store_values values = {0};
    enum ms_status status = ms_key_user(&key, partition, id)
                                ? MS_OK
                                : ms_fail(error, MS_MEMORY, "no memory for a key");
    *user = NULL;
    if (status == MS_OK)
        status = ms_store_get(store, &(struct ms_bytes){key.data, key.size}, 1, &values, error);
    if (status == MS_OK && values.values[0].data)
        status = ms_user_decode_head(user, partition, id, values.values[0], error);
    ms_store_values_free(&values);
    ms_buffer_free(&key);
    return status;
}

enum ms_status ms_store_read_chunks(struct ms_store *store, struct ms_user **user, struct ms_error *error)
{
    struct ms_key_list keys = {0};
    struct ms_store_values values = {0};
    if ((*user)->complete)
        return MS_OK;
    bool listed = true;
    for (uint32_t c = (*user)->first_chunk; listed && c != (*user)->sealed; c = ms_chunk_number(c + 1))
        listed = ms_key_list_add_chunk(&keys, (*user)->partition, ms_user_id(*user), c);
    const struct ms_bytes *list = listed ? ms_key_list_keys(&keys) : NULL;
    enum ms_status status = list ? ms_store_get(store, list, keys.count, &values, error)
                                 : ms_fail(error, MS_MEMORY, "no memory for the keys of a history");
    if (status == MS_OK) {
        ms_user_trim(*user); /* what memory holds of the chunks would come twice */
        status = ms_user_decode_chunks(user, values.values, keys.count, error);
    }
    ms_store_values_free(&values);
    ms_key_list_free(&keys);
    return status;
}

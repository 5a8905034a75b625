# the stream layer as a whole needs RocksDB, which is not built for fuzzing
ms_fuzz(token token_fuzz.c ${PROJECT_SOURCE_DIR}/src/stream/token.c LIBS ms_event ms_base)

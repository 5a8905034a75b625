# The layer itself needs Kafka and the database; these two files are pure.
ms_fuzz(target target_fuzz.c ${PROJECT_SOURCE_DIR}/src/serve/target.c ${PROJECT_SOURCE_DIR}/src/serve/exposition.c LIBS ms_base)

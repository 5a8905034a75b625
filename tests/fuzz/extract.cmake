ms_fuzz(extract extract_fuzz.c ${PROJECT_SOURCE_DIR}/tests/model/model_writer.c LIBS ms_train)
target_include_directories(fuzz_extract PRIVATE ${PROJECT_SOURCE_DIR}/tests)

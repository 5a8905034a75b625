ms_fuzz(extract extract_fuzz.c ${PROJECT_SOURCE_DIR}/src/app/history_line.c
  ${PROJECT_SOURCE_DIR}/tests/model/model_writer.c LIBS ms_user ms_interest ms_record)
target_include_directories(fuzz_extract PRIVATE ${PROJECT_SOURCE_DIR}/tests)

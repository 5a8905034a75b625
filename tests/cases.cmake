# Writes a ctest entry for each case of a cmocka binary: cmake -D BINARY=... -D NAME=... -D LABEL=... -D TIMEOUT=... -D OUT=... -P
execute_process(COMMAND ${BINARY} --list OUTPUT_VARIABLE text RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${BINARY} --list: ${status}")
endif()
string(REGEX MATCHALL "case [A-Za-z0-9_]+\n" cases "${text}")
if(NOT cases)
  message(FATAL_ERROR "${BINARY} has no cases")
endif()
set(entries "")
foreach(line ${cases})
  string(REGEX REPLACE "case (.*)\n" "\\1" case "${line}")
  string(APPEND entries "add_test([=[${NAME}.${case}]=] [=[${BINARY}]=] ${case})\n"
    "set_tests_properties([=[${NAME}.${case}]=] PROPERTIES LABELS [=[${LABEL}]=] TIMEOUT ${TIMEOUT}"
    " SKIP_REGULAR_EXPRESSION [=[\\[  SKIPPED \\]]=])\n")
endforeach()
file(WRITE ${OUT} "${entries}")

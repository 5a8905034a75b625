# Writes files as arrays of C: cmake -DOUT=page_files.c -DHEADER=serve/page_files.h -DFILES="a;b" -P embed.cmake. The header declares
# what comes out: of index.html it is ms_file_index_html, a struct ms_embedded (base/embedded.h).
set(text "/* Made from files. */\n#include \"${HEADER}\"\n\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(MAKE_C_IDENTIFIER ${name} name)
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND text "static const unsigned char ${name}[] = {\n${hex}\n};\nconst struct ms_embedded ms_file_${name} = {${name}, ${bytes}};\n\n")
endforeach()
file(WRITE ${OUT} "${text}")

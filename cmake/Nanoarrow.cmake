# nanoarrow and the flatcc runtime inside it, compiled from the unpacked source
# distribution in the cache folder (tools/setup.sh puts it there). Its own CMake
# wants an installed flatcc; thirteen files are all it is. Its symbols are
# renamed, so that another nanoarrow in the same process does no harm.
set(nanoarrow_root ${IGLOO_CACHE}/nanoarrow-${NANOARROW_VERSION}/subprojects)
file(GLOB flatcc_root ${nanoarrow_root}/flatcc-*)
if(NOT flatcc_root)
  message(FATAL_ERROR "nanoarrow ${NANOARROW_VERSION} is not in ${IGLOO_CACHE}; run tools/setup.sh")
endif()

string(REPLACE "." ";" numbers ${NANOARROW_VERSION})
list(GET numbers 0 NANOARROW_VERSION_MAJOR)
list(GET numbers 1 NANOARROW_VERSION_MINOR)
list(GET numbers 2 NANOARROW_VERSION_PATCH)
set(NANOARROW_NAMESPACE_DEFINE "#define NANOARROW_NAMESPACE Igloo")
configure_file(${nanoarrow_root}/arrow-nanoarrow/src/nanoarrow/nanoarrow_config.h.in
               ${CMAKE_BINARY_DIR}/nanoarrow/nanoarrow/nanoarrow_config.h @ONLY)

set(nanoarrow_src ${nanoarrow_root}/arrow-nanoarrow/src/nanoarrow)
add_library(nanoarrow STATIC
  ${nanoarrow_src}/common/array.c ${nanoarrow_src}/common/array_stream.c
  ${nanoarrow_src}/common/schema.c ${nanoarrow_src}/common/utils.c
  ${nanoarrow_src}/ipc/codecs.c ${nanoarrow_src}/ipc/decoder.c ${nanoarrow_src}/ipc/encoder.c
  ${nanoarrow_src}/ipc/reader.c ${nanoarrow_src}/ipc/writer.c
  ${flatcc_root}/src/runtime/builder.c ${flatcc_root}/src/runtime/emitter.c
  ${flatcc_root}/src/runtime/verifier.c ${flatcc_root}/src/runtime/refmap.c)
target_include_directories(nanoarrow SYSTEM PUBLIC
  ${CMAKE_BINARY_DIR}/nanoarrow ${nanoarrow_root}/arrow-nanoarrow/src)
target_include_directories(nanoarrow SYSTEM PRIVATE ${flatcc_root}/include)
target_compile_options(nanoarrow PRIVATE -w)
